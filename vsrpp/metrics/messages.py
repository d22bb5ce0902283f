"""Why a measure or a comparison of figures is refused: one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import Reason

# ---- weight files of LPIPS and DISTS
WEIGHT_FILE = Reason("refused.metrics.weight_file", "{option} {path} refused: {cause}.")
WEIGHTS_MISSING = Reason("refused.metrics.weights_missing", "{option} refused: {missing}; give {files}.")

# ---- measures
TOO_SMALL_TO_MEASURE = Reason(
    "refused.metrics.too_small", "{measure} needs frames of at least {side} pixels a side, not {width}×{height}."
)
NO_OPENCV = Reason(
    "refused.metrics.no_opencv",
    "--tof refused: tOF needs OpenCV's optical flow, which is not installed; pip install opencv-python-headless.",
)

# ---- the expression of --fail-if
GATE_FORM = Reason(
    "refused.gate", "--fail-if {text} refused: expected a form like `psnr_y < -0.05`, which is about A minus B."
)
GATE_MEASURE = Reason("refused.gate.measure", "--fail-if {text} refused: {measure} is not one of {measures}.")
GATE_NOT_MEASURED = Reason(
    "refused.gate.not_measured", "--fail-if {text} refused: {measure} is not measured; give {option}."
)
GATE_NO_DIFFERENCE = Reason(
    "refused.gate.no_difference", "--fail-if {text} refused: {measure} has no value for these clips."
)
GATE_DIRECTION = Reason(
    "refused.gate.direction",
    "--fail-if {text} refused: it would fail when A is better, since {better} {measure} is better; turn the comparison "
    "round, or exchange A and B.",
)
