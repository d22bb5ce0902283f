"""What a finished file says of its streams, compared with what the input says: each difference is told.

The file itself is read back, because muxers drop what they do not know without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

_OF_A_FILE = (
    "major_brand", "minor_version", "compatible_brands", "encoder", "duration", "number_of_", "bps", "_statistics",
    "vendor_id",
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


def not_kept(source: Any, streams: Sequence[Any], out: Path, aspect: Fraction | None, suffix: str) -> list[str]:
    """What the file `out` does not say although the input does, one line each.

    `source` is the open input, `streams` those of its streams that were put into `out`, the upscaled video first, and
    `aspect` the pixel aspect ratio that the output should have.
    """
    with av.open(str(out)) as made:
        lines = _tags_lost("tags", source.metadata, made.metadata, suffix)
        seen: Counter[str] = Counter()
        for number, stream in enumerate(streams):
            same_type = [found for found in made.streams if found.type == stream.type and not is_cover(found)]
            found = same_type[seen[stream.type]] if seen[stream.type] < len(same_type) else None
            seen[stream.type] += 1
            name = "the video" if number == 0 else in_words(stream)
            if found is None:
                lines.append(f"dropped: {name}; {suffix} does not hold it")
                continue
            lines += _tags_lost(f"tags of {name}", stream.metadata, found.metadata, suffix)
            lost = Disposition(int(stream.disposition) & ~int(found.disposition) & ~int(Disposition.attached_pic))
            if sum(other.type == stream.type for other in streams) == 1:
                lost &= ~Disposition.default  # players have no choice
            if lost:
                flags = ", ".join(flag.name or "" for flag in lost)
                lines.append(f"dropped: the mark of {name} as {flags}; {suffix} does not hold it")
        shown = made.streams.video[0].sample_aspect_ratio if made.streams.video else None
        if aspect and aspect != 1 and shown != aspect:
            lines.append(
                f"dropped: the shape of the pixels ({aspect.numerator}:{aspect.denominator}); {suffix} does not hold it"
            )
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
