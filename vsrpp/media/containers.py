"""The kinds of video file that are written, and what each can hold.

FFmpeg's muxers do not say all of this themselves: some accept any codec and write a file that nothing plays.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import av

from vsrpp.media import messages
from vsrpp.media.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES

_ISO_OPTIONS = {"movflags": "+faststart"}
_TS_SOUND = frozenset({"aac", "mp1", "mp2", "mp3", "ac3", "eac3", "dts", "dca", "truehd", "opus"})
_TS_TEXT = frozenset({"dvb_subtitle", "dvbsub", "dvb_teletext"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What one kind of video file can hold."""

    muxer: str
    """FFmpeg's name."""
    codecs: tuple[str, ...]
    """Names in `encoder.CODECS`; the first is the default for 8 bits."""
    deep: str = ""
    """The default codec above 8 bits; empty if there is none."""
    even_rate: bool = False
    """Whether frames have no time stamps but a constant rate."""
    turns: bool = True
    """Whether it holds a display matrix."""
    text: str = ""
    """The codec that text subtitles are converted to if it cannot hold theirs; empty if it holds no text."""
    cover: Literal["", "stream", "attachment"] = ""
    """How it holds a cover picture."""
    attachments: bool = False
    chapters: bool = False
    sound: frozenset[str] | None = None
    """Codecs of sound; None: FFmpeg's muxer knows."""
    subtitles: frozenset[str] | None = None
    """Codecs of subtitles; None: FFmpeg's muxer knows."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Codec -> the four letters that players expect."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the muxer."""


def _iso(muxer: str, *codecs: str) -> Container:
    return Container(
        muxer=muxer, codecs=codecs, deep="hevc", text="mov_text", cover="stream", chapters=True, tags={"hevc": "hvc1"},
        options=_ISO_OPTIONS,
    )  # fmt: skip


_TS = Container(
    muxer="mpegts", codecs=("h264", "hevc"), deep="hevc", turns=False, sound=_TS_SOUND, subtitles=_TS_TEXT
)  # fmt: skip
_M2TS = Container(
    muxer="mpegts", codecs=("h264", "hevc"), deep="hevc", turns=False, sound=_TS_SOUND | {"pcm_bluray"},
    subtitles=frozenset({"hdmv_pgs_subtitle", "pgssub"}), options={"mpegts_m2ts_mode": "1"},
)  # fmt: skip

CONTAINERS: dict[str, Container] = {
    ".mp4": _iso("mp4", "h264", "hevc", "av1", "vp9", "ffv1"),
    ".m4v": _iso("mp4", "h264", "hevc", "av1", "vp9", "ffv1"),
    ".mov": _iso("mov", "h264", "hevc"),
    ".mkv": Container(
        muxer="matroska", codecs=("h264", "hevc", "av1", "vp9", "ffv1"), deep="hevc", text="srt", cover="attachment",
        attachments=True, chapters=True,
    ),
    ".webm": Container(muxer="webm", codecs=("vp9", "av1"), deep="av1", text="webvtt", chapters=True),
    ".avi": Container(muxer="avi", codecs=("ffv1",), deep="ffv1", even_rate=True, turns=False),
    ".ts": _TS,
    ".mts": _M2TS,
    ".m2ts": _M2TS,
    ".flv": Container(muxer="flv", codecs=("h264", "hevc"), deep="hevc", turns=False),
    ".3gp": Container(muxer="3gp", codecs=("h264",), text="mov_text", options=_ISO_OPTIONS),
}  # fmt: skip
"""By the suffix of the file.

Not MPEG program streams (.mpg, .vob) and ASF (.wmv): they do not hold the time stamp of every frame of H.264 or HEVC. Nor
H.264 in AVI, which has no time stamps: FFmpeg shows its frames one too late.
"""


def container_of(path: Path) -> Container:
    """The kind of an output file, by its suffix. Raises Refused if it is not a kind that is written."""
    suffix = path.suffix.lower()
    if suffix in CONTAINERS:
        return CONTAINERS[suffix]
    if suffix in VIDEO_SUFFIXES:
        raise messages.NOT_WRITTEN_HERE(path=path, suffix=suffix, suffixes=" ".join(CONTAINERS))
    raise messages.NOT_A_VIDEO_NAME(path=path, suffixes=" ".join(CONTAINERS))


def is_video_target(target: str) -> bool:
    """Whether an output becomes a video file, not a folder of frames.

    A folder exists, ends in a slash, or has no suffix. Raises Refused for a suffix that is not a video file's, because a
    typing error must not turn a film into thousands of pictures.
    """
    path = Path(target).expanduser()
    if target.endswith(("/", os.sep)) or not path.suffix or (path.is_dir() and path.suffix.lower() not in CONTAINERS):
        return False
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise messages.NOT_A_VIDEO_NAME(path=path, suffixes=" ".join(CONTAINERS))
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise messages.UNKNOWN_SUFFIX(path=path, suffix=path.suffix, suffixes=" ".join(CONTAINERS))
    container_of(path)
    return True


def codec_for(path: Path, asked: str | None, *, bits: int = 8) -> str:
    """The codec of an output file: the requested one, else the container's default for this depth. Raises Refused."""
    container = container_of(path)
    codec = asked or (container.deep if bits > 8 else container.codecs[0])
    if not codec:
        raise messages.DEPTH_NOT_HELD(suffix=path.suffix, bits=bits, suffixes=suffixes_with(deep=True))
    if codec not in container.codecs:
        raise messages.CODEC_NOT_HELD(
            codec=codec, suffix=path.suffix, codecs=", ".join(container.codecs), suffixes=suffixes_with(codec=codec)
        )
    return codec


def suffixes_with(*, codec: str = "", deep: bool = False) -> str:
    """The suffixes of containers with a codec, or that hold more than 8 bits, for a message."""
    fits = (
        suffix for suffix, held in CONTAINERS.items() if (held.deep or not deep) and (not codec or codec in held.codecs)
    )
    return ", ".join(fits)


def holders_of_sound(codecs: Iterable[str]) -> str:
    """The suffixes of containers that hold all these codecs of sound, for a message; empty if none does."""
    codecs = set(codecs)
    return ", ".join(suffix for suffix, container in CONTAINERS.items() if codecs <= _sound_of(container.muxer, suffix))


@cache
def _sound_of(muxer: str, suffix: str) -> frozenset[str]:
    declared = CONTAINERS[suffix].sound
    if declared is not None:
        return declared
    with av.open(os.devnull, "w", format=muxer) as output:
        return frozenset(output.supported_codecs)
