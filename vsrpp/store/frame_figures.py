"""The figures of each frame of each validation, in a file beside the record: `validations/step_0000500_branch_0.json`.

A side product: the record itself has the figures of each clip. Repeating a validation after a kill rewrites the same file;
a rollback leaves the files of the branch it abandons.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from vsrpp.paths import RunPaths
from vsrpp.smallfiles import read_small

LIMIT_BYTES = 64 * 2**20
"""Of all files together; the oldest are removed. 400 frames take 50 kB."""


class FrameFigures:
    """Keeps them for one run, within `limit_bytes`."""

    def __init__(self, paths: RunPaths, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._paths = paths
        self._limit_bytes = limit_bytes

    def keep(self, step: int, branch: int, clips: Sequence[Mapping[str, Any]]) -> None:
        """Write those of a validation: {name, per_frame {frame: [numbers], metric: [values]}} of each clip. Raises OSError."""
        target = self._paths.frame_figures(step, branch)
        target.parent.mkdir(exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_text(json.dumps({"step": step, "branch": branch, "clips": clips}), encoding="utf-8")
        partial.replace(target)
        self._make_room()

    def _make_room(self) -> None:
        """Remove the files that were written first, but never the last one."""
        with os.scandir(self._paths.validations) as entries:
            about = sorted((entry.stat().st_mtime_ns, entry.name, entry.stat().st_size) for entry in entries)
        total = sum(size for _, _, size in about)
        for _, name, size in about[:-1]:
            if total <= self._limit_bytes:
                break
            (self._paths.validations / name).unlink(missing_ok=True)
            total -= size


def read_frame_figures(paths: RunPaths, step: int, branch: int) -> list[dict[str, Any]]:
    """{name, per_frame} of each clip of a validation; [] if they are not kept or cannot be read."""
    try:
        document = json.loads(read_small(paths.frame_figures(step, branch), LIMIT_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    clips = document.get("clips") if isinstance(document, dict) else None
    if not isinstance(clips, list):
        return []
    return clips if all(isinstance(one, dict) and {"name", "per_frame"} <= one.keys() for one in clips) else []
