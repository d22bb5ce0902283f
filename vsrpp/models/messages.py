"""Why a network cannot be built, compiled or loaded: one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import NotFound, Reason

UNKNOWN_NETWORK = Reason("refused.models.unknown_network", "network = {name} refused: must be one of {names}.")
COMPILE_FAILS = Reason(
    "refused.models.compile_fails", "compile = true refused: torch.compile fails here ({cause}). {remedy}"
)

# Weight files

NO_WEIGHT_FILE = Reason("not_found.models.weight_file", "no weight file at {path}.", NotFound)
NO_CHECKPOINTING = Reason(
    "refused.models.no_gradient_checkpointing",
    "gradient_checkpointing refused: network {name} does not support it (it has no attribute gradient_checkpointing).",
)
NO_WEIGHTS = Reason(
    "refused.models.no_weights",
    "{path} refused: it contains no weights (expected a state dict, or one under {containers}).",
)
UNSAFE_FILE = Reason(
    "refused.models.unsafe_file",
    "{path} refused: it is not a weight file, or contains more than tensors and plain values, so loading it could run "
    "its code. Save only its state dict.",
)
UNREADABLE_FILE = Reason(
    "refused.models.unreadable_file", "{path} refused: it cannot be read as a weight file ({cause})."
)
NOTHING_FITS = Reason(
    "refused.models.nothing_fits",
    "{path} refused: none of its {count} tensors fits the {part} by name and shape.{hint}",
)
OTHER_NETWORK = Reason(
    "refused.models.other_network",
    "{path} refused: it contains the weights of {other}; VSR++ does not have this network, but {networks}, and those of "
    "plug-ins.{hint}",
)
LOAD_WHAT_FITS = " To load the tensors that fit: pretrained_partial=true."
WEIGHTS_DO_NOT_FIT = Reason("refused.models.weights_do_not_fit", "{path} does not fit the {part}: {faults}.{hint}")
