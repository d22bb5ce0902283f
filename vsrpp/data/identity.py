"""What a run's data is, for the record: one plain description for training and one for validation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vsrpp.data.block import MixEntry, read_block
from vsrpp.data.dataset import Data
from vsrpp.data.split import Span


def datasets(data: Data, run_config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Two rows of JSON values, `context` training and validation.

    `digest` is a SHA-256 over the content of the clips' files and the frames taken of each, as `Data.fingerprint` is
    over the contents alone: the same frames have the same digest wherever they lie and whatever they are called.
    """
    block = read_block(run_config)
    return [
        _row("training", block.train, data.split.train, data.samples_per_epoch, "windows"),
        _row("validation", block.val or block.train, data.split.val, sum(s.frames for s in data.split.val), "frames"),
    ]


def _row(context: str, entries: Sequence[MixEntry], spans: Sequence[Span], samples: int, unit: str) -> dict[str, Any]:
    contents = [[span.clip.content_sha256, span.start, span.stop] for span in spans]
    sizes = sorted({(span.clip.width, span.clip.height) for span in spans})
    return {
        "context": context,
        "name": " + ".join(Path(entry.path).name or entry.path for entry in entries),
        "source": ", ".join(entry.path for entry in entries),
        "digest": hashlib.sha256(json.dumps(contents).encode()).hexdigest(),
        "clips": len(spans),
        "frames": sum(span.frames for span in spans),
        "samples": samples,
        "sample_unit": unit,
        "size": "×".join(map(str, sizes[0])) if len(sizes) == 1 else f"{len(sizes)} sizes",
        "scale": spans[0].clip.scale if spans else None,
    }
