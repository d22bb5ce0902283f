"""Decides how an output video is encoded, from the input and the options, and says what will not be as in the input."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
from av.codec import Codec

from vsrpp.media import messages
from vsrpp.media.cause import cause_of
from vsrpp.media.containers import codec_for, container_of
from vsrpp.media.encoder import CODECS, Encoding
from vsrpp.media.hdr import hdr_options
from vsrpp.media.timing import is_even, usual_rates
from vsrpp.media.video_reader import OpenClip

_UNTAGGED_SITING = "left"
"""Where players expect chroma in a file that does not say; the files written here do not."""
_SUFFIX_OF_DEPTH = {8: "", 10: "10le", 12: "12le", 16: "16le"}


def plan_encoding(
    out: Path, opened: OpenClip, size: tuple[int, int], *, source: Path | None = None, codec: str | None = None,
    crf: int | None = None, pix_fmt: str | None = None, rate: Fraction | None = None,
) -> Encoding:  # fmt: skip
    """The encoding of frames of `size` (width, height) into `out`. Appends to the notes of `opened` what is not kept.

    `source` is the input video, None for a folder of frames; `rate` is the frame rate of the latter. Raises Refused if the
    container, the codec, the pixel format and the quality do not go together, or the container cannot hold the input's
    time stamps.
    """
    container = container_of(out)
    asked_bits = depth_of(pix_fmt) if pix_fmt else opened.bits
    name = codec_for(out, codec, bits=asked_bits)
    _check_encoder(name)
    _check_crf(name, crf)
    given = opened.stream.codec_context if opened.stream is not None else None
    turn = 0 if container.turns else opened.rotation % 360
    size = (size[1], size[0]) if turn % 180 else size
    chosen = pix_fmt or _pix_fmt(name, opened.bits, size, given, opened.notes)
    _check_pix_fmt(name, chosen, size)
    rate = rate or opened.rate or Fraction(25)
    if container.even_rate and source is not None:
        rate = _even_rate(source, opened, rate, out.suffix)
    encoding = Encoding(
        out=out, container=container, codec=name, size=size, bits=depth_of(chosen), pix_fmt=chosen,
        options=_options(name, crf, opened), rate=rate, time_base=opened.time_base or 1 / rate,
        colours=replace(opened.colours, siting=_UNTAGGED_SITING),
        sample_aspect=_sample_aspect(opened, turn), turn=turn,
        rotation=0 if turn else opened.rotation, stream=opened.stream.index if opened.stream is not None else 0,
    )  # fmt: skip
    opened.notes += _cuts(encoding, opened)
    return encoding


def depth_of(pix_fmt: str) -> int:
    """Bits per channel of a pixel format. Raises Refused if FFmpeg does not know it."""
    try:
        return max(component.bits for component in av.VideoFormat(pix_fmt).components)
    except ValueError:
        raise messages.UNKNOWN_PIX_FMT(pix_fmt=pix_fmt) from None


def _check_encoder(codec: str) -> None:
    if CODECS[codec].encoder not in av.codecs_available:
        raise messages.NO_ENCODER(codec=codec, encoder=CODECS[codec].encoder)


def _check_crf(codec: str, crf: int | None) -> None:
    most = CODECS[codec].most_crf
    if crf is not None and most and not 0 <= crf <= most:
        raise messages.CRF_RANGE(crf=crf, most=most, codec=codec)


@cache
def _formats(codec: str) -> tuple[str, ...]:
    """The pixel formats that a codec's encoder takes, as written here: without alpha."""
    formats = Codec(CODECS[codec].encoder, "w").video_formats or []
    names = [item.name for item in formats if not item.has_palette and len(item.components) in (1, 3)]
    return tuple(name for name in names if depth_of(name) in CODECS[codec].depths)


def _check_pix_fmt(codec: str, pix_fmt: str, size: tuple[int, int]) -> None:
    if pix_fmt not in (*_formats(codec), "bgr0"):
        raise messages.PIX_FMT(pix_fmt=pix_fmt, codec=codec, formats=", ".join(_formats(codec)))
    chroma = av.VideoFormat(pix_fmt, 64, 64).components[-1]
    if (chroma.width < 64 and size[0] % 2) or (chroma.height < 64 and size[1] % 2):
        raise messages.PIX_FMT_SIZE(pix_fmt=pix_fmt, width=size[0], height=size[1])


def _pix_fmt(codec: str, bits: int, size: tuple[int, int], given: Any, notes: list[str]) -> str:
    """The pixel format without --pix-fmt: RGB for ffv1, else 4:2:0, which every player knows, with as many bits as fit."""
    depths = CODECS[codec].depths
    if bits > 8 and max(depths) == 8:
        deep = ", ".join(name for name, item in CODECS.items() if max(item.depths) > 8)
        raise messages.CODEC_DEPTH(codec=codec, bits=bits, codecs=deep)
    depth = min((depth for depth in depths if depth >= bits), default=max(depths))
    if codec == "ffv1":
        return "bgr0" if depth == 8 else f"gbrp{depth}le"
    if size[0] % 2 or size[1] % 2:
        notes.append(f"the output is 4:4:4, which many players do not play: {size[0]}×{size[1]} is odd")
        return f"yuv444p{_SUFFIX_OF_DEPTH[depth]}"
    chroma = given.format.components[-1] if given is not None and given.format is not None else None
    if chroma is not None and (chroma.width == given.width or chroma.height == given.height) and not chroma.is_luma:
        notes.append(
            f"the colours are stored at half resolution (4:2:0), the input has more ({given.pix_fmt}): --pix-fmt"
        )
    return f"yuv420p{_SUFFIX_OF_DEPTH[depth]}"


def _options(codec: str, crf: int | None, opened: OpenClip) -> dict[str, str]:
    options = dict(CODECS[codec].options)
    if crf is not None and "crf" in options:
        options["crf"] = str(crf)
    for name, value in hdr_options(codec, opened).items():
        options[name] = f"{options[name]}:{value}" if name in options else value
    return options


def _sample_aspect(opened: OpenClip, turn: int) -> Fraction | None:
    aspect = opened.sample_aspect
    return 1 / aspect if aspect and turn % 180 else aspect


def _cuts(encoding: Encoding, opened: OpenClip) -> list[str]:
    """What the pixels of the input lose, one line each."""
    suffix = encoding.out.suffix
    notes = []
    if encoding.bits < opened.bits:
        notes.append(f"the input has {opened.bits} bits per channel, the output has {encoding.bits}")
    if (opened.mastering or opened.content_light) and not hdr_options(encoding.codec, opened):
        notes.append(f"dropped: mastering display and content light level; {encoding.codec} does not hold them")
    if encoding.turn:
        notes.append(f"the frames are turned by {encoding.turn}°, because {suffix} cannot tell players to do it")
    return notes


def _even_rate(source: Path, opened: OpenClip, rate: Fraction, suffix: str) -> Fraction:
    """The constant rate of an input's frames. Raises Refused if they are uneven, which such a file cannot hold."""
    stream = opened.stream
    try:
        with av.open(str(source)) as container:
            packets = container.demux(container.streams[stream.index])
            stamps = [packet.pts for packet in packets if packet.size and packet.pts is not None]
    except av.error.FFmpegError as error:
        raise messages.UNREADABLE_VIDEO(path=source, cause=cause_of(error)) from None
    length = (max(stamps) - min(stamps)) * stream.time_base if stamps else Fraction(0)
    measured = usual_rates(((len(stamps) - 1) / length).limit_denominator(1001)) if length else []
    for candidate in (rate, stream.guessed_rate, *measured):
        if candidate and is_even(stamps, stream.time_base, candidate):
            return Fraction(candidate)
    raise messages.UNEVEN_RATE(suffix=suffix)
