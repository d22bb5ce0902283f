"""What a finished file says of its streams, compared with what the input says: each difference is told.

The file itself is read back, because muxers drop what they do not know without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from vsrpp.media.colours import UNSPECIFIED
from vsrpp.media.encoder import Encoding

_OF_A_FILE = (
    "major_brand", "minor_version", "compatible_brands", "encoder", "duration", "number_of_", "bps", "_statistics",
    "vendor_id", "alpha_mode",
)  # fmt: skip
"""Beginnings of tags that describe the input's bytes, not its content."""
_IN_WORDS = {"subtitle": "subtitles", "video": "a second video", "audio": "sound"}


def tags_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """The tags that say something of the content, not of the file that holds it."""
    tags = {key: value for key, value in metadata.items() if not key.lower().startswith(_OF_A_FILE)}
    if tags.get("handler_name", "").endswith("Handler"):  # as FFmpeg names those without a title
        del tags["handler_name"]
    if "name" in tags:  # a track's title in MP4
        tags.setdefault("title", tags.pop("name"))
    return tags


def in_words(stream: Any) -> str:
    """A stream: `subtitles "Signs" (ger)`."""
    tags = tags_of(stream.metadata)
    title, language = tags.get("title"), tags.get("language")
    words = _IN_WORDS.get(stream.type, stream.type)
    return words + (f' "{title}"' if title else "") + (f" ({language})" if language not in (None, "und") else "")


def not_kept(streams: Sequence[Any], out: Path, encoding: Encoding, *, whole: bool) -> list[str]:
    """What the file `out` does not say although the input does, one line each.

    `streams` are those of the open input that were put into `out`, the one that was upscaled first. Of a file that is not
    `whole`, streams that lack are not told: some containers hold none without packets.
    """
    suffix = encoding.out.suffix
    with av.open(str(out)) as made:
        lines = _tags_lost("tags", streams[0].container.metadata, made.metadata, suffix)
        lines += _appearance_lost(made.streams.video[0], encoding)
        seen: Counter[str] = Counter()
        for number, stream in enumerate(streams):
            same_type = [found for found in made.streams if found.type == stream.type and not is_cover(found)]
            found = same_type[seen[stream.type]] if seen[stream.type] < len(same_type) else None
            seen[stream.type] += 1
            name = "the video" if number == 0 else in_words(stream)
            if found is None:
                lines += [f"dropped: {name}; {suffix} does not hold it"] if whole else []
                continue
            lines += _tags_lost(f"tags of {name}", stream.metadata, found.metadata, suffix)
            lost = Disposition(int(stream.disposition) & ~int(found.disposition))
            if sum(other.type == stream.type for other in streams) == 1:
                lost &= ~Disposition.default  # players have no choice
            if lost:
                flags = ", ".join(str(flag.name) for flag in Disposition if flag & lost)
                lines.append(f"dropped: the mark of {name} as {flags}; {suffix} does not hold it")
    return lines


def _appearance_lost(video: Any, encoding: Encoding) -> list[str]:
    lines, suffix, context = [], encoding.out.suffix, video.codec_context
    aspect = encoding.sample_aspect
    if aspect and aspect != 1 and video.sample_aspect_ratio != aspect:
        shape = f"{aspect.numerator}:{aspect.denominator}"
        lines.append(f"dropped: the shape of the pixels ({shape}); {suffix} does not hold it")
    named = {"primaries": (encoding.colours.primaries, context.color_primaries)}
    named["transfer function"] = (encoding.colours.transfer, context.color_trc)
    lost = [name for name, (before, after) in named.items() if before != UNSPECIFIED and after != before]
    if lost:
        lines.append(f"dropped: the names of the colours' {' and '.join(lost)}; {suffix} does not hold them")
    return lines


def _tags_lost(of: str, before: Mapping[str, str], after: Mapping[str, str], suffix: str) -> list[str]:
    kept = {key.lower() for key in tags_of(after)}
    lost = [
        key for key, value in tags_of(before).items() if key.lower() not in kept and (key, value) != ("language", "und")
    ]
    return [f"dropped: {of} ({', '.join(lost)}); {suffix} does not hold them"] if lost else []


def is_cover(stream: Any) -> bool:
    """Whether a stream is a picture of the film's cover."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)
