"""Upload progress in bytes: per file, and within the current file if the system reports it."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

from vsrpp.control.backlog import UPLOADING
from vsrpp.store import Marks


class UploadProgress:
    """Tracks one upload at a time: the uploading thread begins, counts and ends it; any thread may read it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fact: dict[str, Any] | None = None
        self._file: Path | None = None
        self._said: dict[str, Any] | None = None

    def begin(self, what: str, size_bytes: int) -> None:
        with self._lock:
            self._fact = {"what": what, "bytes": size_bytes, "done_bytes": 0, "since": time.time()}

    def file(self, path: Path) -> None:
        """The upload of this file starts."""
        with self._lock:
            self._file = path

    def file_done(self) -> None:
        with self._lock:
            if self._fact is not None and self._file is not None:
                self._fact["done_bytes"] += self._file.stat().st_size
            self._file = None

    def end(self) -> None:
        with self._lock:
            self._fact = self._file = None

    def now(self) -> dict[str, Any] | None:
        """{what, bytes, done_bytes, since}, or None."""
        with self._lock:
            fact, path = dict(self._fact) if self._fact else None, self._file
        if fact is not None and path is not None:
            fact["done_bytes"] = min(fact["bytes"], fact["done_bytes"] + position_in(path))
        return fact

    def say(self, marks: Marks) -> None:
        """Record the progress as a fact for `status` and the panel, if it changed."""
        fact = self.now()
        if fact is not None or self._said is not None:
            marks.set_fact(UPLOADING, None if fact is None else {**fact, "at": time.time()})
        self._said = fact


def position_in(path: Path) -> int:
    """How many bytes of the file this process has read (Linux); 0 where unknown."""
    farthest = 0
    with contextlib.suppress(OSError):
        for handle in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if str(handle.readlink()) == str(path):
                    fields = Path(f"/proc/self/fdinfo/{handle.name}").read_text().split(None, 2)
                    farthest = max(farthest, int(fields[1]))
    return farthest


class CountedClient:
    """MLflow's client, with model folders uploaded file by file, so that progress is known."""

    def __init__(self, client: Any, progress: UploadProgress, counted: Path) -> None:
        """`counted`: the folder whose files make up the upload's size."""
        self._client, self._progress, self._counted = client, progress, counted.resolve()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def log_model_artifacts(self, model_id: str, local_dir: str, artifact_path: str | None = None) -> None:
        folder = Path(local_dir).resolve()
        if folder != self._counted:
            self._client.log_model_artifacts(model_id, local_dir, artifact_path)
            return
        for path in sorted(folder.iterdir()):
            self._progress.file(path)
            self._client.log_model_artifact(model_id, str(path), artifact_path)
            self._progress.file_done()
