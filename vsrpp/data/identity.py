"""Describes a run's data for the record: one row for training, one for validation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vsrpp.data.block import MixEntry, read_block
from vsrpp.data.build import pixels_identity
from vsrpp.data.dataset import Data
from vsrpp.data.split import Span


def datasets(data: Data, run_config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Two rows of JSON values, with `context` training and validation.

    `digest` is a SHA-256 over the contents of the clips, how they are read, and the range of frames used of each
    (`Data.fingerprint` has no ranges). The same frames have the same digest regardless of path and name.
    """
    block, scored = read_block(run_config), [part for clip in data.val for part in clip.parts]
    return [
        _row("training", block.train, data.split.train, len(data.split.train), data.samples_per_epoch, "windows"),
        _row("validation", block.val or block.train, scored, len(data.val), sum(s.frames for s in scored), "frames"),
    ]


def _row(
    context: str, entries: Sequence[MixEntry], spans: Sequence[Span], clips: int, samples: int, unit: str
) -> dict[str, Any]:
    contents = [
        [pixels_identity(span.clip.content_sha256, span.clip.reader_version), span.start, span.stop] for span in spans
    ]
    sizes = sorted({(span.clip.width, span.clip.height) for span in spans})
    return {
        "context": context,
        "name": " + ".join(Path(entry.path).name or entry.path for entry in entries),
        "source": ", ".join(entry.path for entry in entries),
        "digest": hashlib.sha256(json.dumps(contents).encode()).hexdigest(),
        "clips": clips,
        "frames": sum(span.frames for span in spans),
        "samples": samples,
        "sample_unit": unit,
        "size": "×".join(map(str, sizes[0])) if len(sizes) == 1 else f"{len(sizes)} sizes",
        "scale": spans[0].clip.scale if spans else None,
    }
