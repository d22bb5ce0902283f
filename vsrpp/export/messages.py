"""Why a network cannot be exported: one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import ProofFailed, Reason, VsrppError

PACKAGES_MISSING = Reason(
    "refused.export.packages", "ONNX export refused: {missing} not installed. Install the extra: pip install {missing}."
)
SUFFIX = Reason("refused.export.suffix", "{path} refused: a file for --to {form} ends in {suffix}.")
FRAMES = Reason("refused.export.frames", "--frames {frames} refused: must be from 1 to {most}.")
FRAMES_EVEN = Reason(
    "refused.export.frames_even",
    "--frames {frames} refused: with --windowed it must be odd, because the output is the middle frame.",
)
WEIGHTS_ONLY = Reason(
    "refused.export.weights_only",
    "{option} refused: a safetensors file holds weights alone, not what is done with them.",
)
NOT_TRACED = Reason(
    "refused.export.not_traced",
    "network {network} cannot be exported to {form}: {cause}. A network must compute everything in torch, for frames of "
    "every size.",
)
NOT_FP16 = Reason("refused.export.not_fp16", "network {network} does not run in fp16: {cause}.")
NOT_RUN = Reason(
    "proof_failed.export.not_run", "export refused: the {form} file fails on {size}: {cause}.", ProofFailed
)
DIFFERS = Reason(
    "proof_failed.export.differs",
    "export refused: the {form} file differs from the network by up to {difference} on {size}; the limit is {limit}.",
    ProofFailed,
)
NOT_WRITTEN = Reason("failed.export.not_written", "{path} could not be written: {cause}.", VsrppError)
NOT_MEASURED = Reason("failed.export.not_measured", "the benchmark of {what} failed: {cause}.", VsrppError)
