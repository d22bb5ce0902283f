"""Static HDR metadata, in the words of the encoders that write it."""

from __future__ import annotations

from fractions import Fraction

from vsrpp.media.video_reader import MasteringDisplay, OpenClip


def hdr_options(codec: str, opened: OpenClip) -> dict[str, str]:
    """Options of the encoder of hevc or av1 that keep mastering display and content light level; empty without them."""
    entries = []
    if opened.mastering is not None:
        units = {"hevc": (Fraction(1, 50_000), Fraction(1, 10_000))}.get(codec)
        entries.append(
            ("master-display" if codec == "hevc" else "mastering-display", _display(opened.mastering, units))
        )
    if opened.content_light is not None:
        name = "max-cll" if codec == "hevc" else "content-light"
        entries.append((name, f"{opened.content_light[0]},{opened.content_light[1]}"))
    if not entries or codec not in ("hevc", "av1"):
        return {}
    return {
        "x265-params" if codec == "hevc" else "svtav1-params": ":".join(f"{name}={value}" for name, value in entries)
    }


def _display(display: MasteringDisplay, units: tuple[Fraction, Fraction] | None) -> str:
    """G(x,y)B(x,y)R(x,y)WP(x,y)L(brightest,darkest), in whole `units` of chromaticity and luminance, or decimal."""
    place, light = units or (Fraction(0), Fraction(0))

    def number(value: Fraction, unit: Fraction) -> str:
        return str(round(value / unit)) if unit else f"{float(value):.6f}"

    points = {"G": display.green, "B": display.blue, "R": display.red, "WP": display.white}
    text = "".join(f"{name}({number(x, place)},{number(y, place)})" for name, (x, y) in points.items())
    return f"{text}L({number(display.brightest, light)},{number(display.darkest, light)})"
