"""The measures by name: what they are called in tables, how many decimals they have, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of a clip: the mean of a figure of each frame, or of each step from a frame to the next."""

    title: str
    decimals: int
    higher_is_better: bool = False
    option: str = ""
    """The option of `vsrpp evaluate` without which it is not measured."""

    @property
    def better(self) -> str:
        """`higher` or `lower`."""
        return "higher" if self.higher_is_better else "lower"

    def text(self, value: float | None, *, signed: bool = False) -> str:
        """A value with its decimals; `–` for None."""
        return "–" if value is None else f"{value:{'+' if signed else ''}.{self.decimals}f}"


MEASURES: dict[str, Measure] = {
    "psnr_y": Measure("PSNR-Y", 3, higher_is_better=True),
    "ssim_y": Measure("SSIM-Y", 4, higher_is_better=True),
    "psnr_rgb": Measure("PSNR-RGB", 3, higher_is_better=True),
    "ssim_rgb": Measure("SSIM-RGB", 4, higher_is_better=True),
    "tdiff_y": Measure("TDIFF-Y", 3),
    "lpips": Measure("LPIPS", 4, option="--lpips-weights"),
    "dists": Measure("DISTS", 4, option="--dists-weights"),
    "tlp100": Measure("tLP×100", 3, option="--lpips-weights"),
    "tof": Measure("tOF", 3, option="--tof"),
}
"""In the order of tables."""
