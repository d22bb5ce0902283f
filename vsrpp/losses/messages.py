"""Why a loss cannot be computed: one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import Reason

NO_PERCEPTUAL_FILE = Reason(
    "refused.losses.no_perceptual_file", "perceptual_weight above 0 refused: the run has no perceptual_weights file."
)
PERCEPTUAL_FILE = Reason(
    "refused.losses.perceptual_file",
    "perceptual_weights = {path} refused: {cause}; download {url} and give that file, "
    "or leave perceptual_weights empty and perceptual_weight at 0.",
)
