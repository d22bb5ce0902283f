"""A light process, one of many, that makes one edit of a live run whenever its parent says so.

python edit_script.py RUN_DIR file|replace|control|api NUMBER   then, for every line on standard input, one edit and one
line of JSON on standard output: the request, the result, and the time.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from vsrpp import Run, control
from vsrpp.paths import RunPaths

RANGES = {"max_lr": (1e-4, 1e-3), "min_lr": (1e-8, 5e-5), "grad_clip": (0.1, 10.0)}


def an_edit(draw: random.Random) -> dict[str, Any]:
    """A unique value, so that it can be found in the record; one in five is out of range."""
    key = draw.choice(sorted(RANGES))
    low, high = RANGES[key]
    return {key: draw.uniform(low, high) + (100 if draw.random() < 0.2 else 0)}


def save_file(path: Path, edit: dict[str, Any], *, replace: bool) -> None:
    """Save like an editor: read, change, and write in place or to another file that then replaces it."""
    while True:
        try:
            values = json.loads(path.read_text())
            break
        except (OSError, ValueError):  # another process is writing
            time.sleep(0.001)
    text = json.dumps({**values, **edit}, indent=2)
    if not replace:
        path.write_text(text)
        return
    fresh = path.with_name(f".hand-{random.getrandbits(64):x}")
    fresh.write_text(text)
    fresh.replace(path)


def main() -> None:
    paths, kind, number = RunPaths(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    draw, run = random.Random(number), Run(sys.argv[1])
    print(json.dumps({"ready": number}), flush=True)
    for count, _ in enumerate(sys.stdin):
        edit, token = an_edit(draw), f"hand {number}, edit {count}"
        base = control.status(paths)["revision"] if draw.random() < 0.5 else None
        began, answer = time.time(), None
        if kind in ("file", "replace"):
            save_file(paths.runtime_config, edit, replace=kind == "replace")
        elif kind == "control":
            answer = control.apply(paths, edit, origin="cli", reason=token, base_revision=base, wait_s=300)
        else:
            answer = run.set(edit, reason=token, base_revision=base, wait_s=300)
        said = {"kind": kind, "token": token, "edit": edit, "began": began, "ended": time.time(), "count": count}
        print(json.dumps({**said, "answer": answer and answer.to_json(), "torch": "torch" in sys.modules}), flush=True)


if __name__ == "__main__":
    main()
