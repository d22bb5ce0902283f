"""Converts text subtitles from one codec to another."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

TEXT_CODECS = frozenset({"mov_text", "srt", "subrip", "ass", "ssa", "webvtt", "text"})
"""Decoders of subtitles that are text."""
STYLED = frozenset({"ass", "ssa"})
"""Those whose styles the others do not hold."""
_MILLI = Fraction(1, 1000)
ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


class TextConverter:
    """Converts the packets of one subtitle stream. `target` is the encoder's codec context."""

    def __init__(self, source: Any, target: Any) -> None:
        self._source, self._target = source, target
        target.subtitle_header = source.subtitle_header or ASS_HEADER
        target.time_base = _MILLI

    def convert(self, packet: Any) -> Any:
        """The converted packet with the times of the given one; None if it shows no text."""
        if not packet.size:
            return None
        decoded = self._source.decode2(packet)
        if decoded is None or not len(decoded):
            return None
        encoded = self._target.encode_subtitle(decoded)
        if not encoded.size:
            return None
        encoded.time_base = packet.time_base
        encoded.pts = encoded.dts = packet.pts
        encoded.duration = packet.duration or round(decoded.end_display_time * _MILLI / packet.time_base)
        return encoded


def converter(output: Any, stream: Any, codec: str) -> tuple[Any, TextConverter]:
    """A new stream of `output` for the converted packets of a subtitle stream, and what converts them.

    Raises FFmpegError or ValueError if the output does not hold `codec`.
    """
    made = output.add_stream(codec)
    return made, TextConverter(stream.codec_context, made.codec_context)
