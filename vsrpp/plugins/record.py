"""The source of a run's plug-ins as part of its record: in the `started` event, and as `plugins.json` in the run folder and
in every checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vsrpp import paths
from vsrpp.config import declared, schema
from vsrpp.config.declared import PluginRecord
from vsrpp.errors import VsrppError
from vsrpp.plugins import messages, naming, registry, source, trust
from vsrpp.plugins.source import PluginSource

FILE = "plugins.json"
FORMAT = 1

Sources = Mapping[str, Any]
"""SHA-256 -> {"source": name, "files": {name: text}}."""


def sources(run_config: Mapping[str, Any]) -> dict[str, Any]:
    """The source texts of a run's plug-ins, which are loaded in this process; empty without plug-ins."""
    texts = {}
    for record in run_config.get("plugins") or ():
        loaded = registry.source_of(record["sha256"])
        if loaded is None:
            raise messages.NOT_LOADED(name=record["source"])
        files = {name: content.decode("utf-8") for name, content in loaded.files.items()}
        texts[record["sha256"]] = {"source": record["source"], "files": files}
    return texts


def write(texts: Sources, folder: Path) -> None:
    """Write `plugins.json`; nothing for a run without plug-ins."""
    if texts:
        document = {"format": FORMAT, "plugins": texts}
        (folder / FILE).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """The source texts in a run or checkpoint folder; empty if it has none. Raises ProofFailed for a damaged file."""
    try:
        document = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return dict(document["plugins"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        raise messages.BAD_SOURCES(file=folder / FILE, source="the plug-ins") from None


def texts_of(started: Mapping[str, Any], newest: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The recorded sources of a run: of its start and of a resume that allowed other code, else those in its folder."""
    on_record = [data.get("plugin_sources") for data in (started, newest)]
    return {key: value for texts in on_record if isinstance(texts, Mapping) for key, value in texts.items()} or read(
        folder
    )


def reopen(
    run_config: Mapping[str, Any], texts: Sources, place: Path, *, say: Callable[[str], None] = lambda _: None,
    exact: bool = False, allow_changed: bool = False, current: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """Load the plug-ins of a recorded run; returns the record, which differs from the given one only for changed code.

    `texts`: the recorded sources; `place`: the folder they come from. What is still where it was named is loaded from there
    if it is unchanged. Otherwise: `exact` (resume, replay) refuses a changed source unless `allow_changed`, which uses it;
    `current` (a new run from a checkpoint) uses it and says so; else the recorded source is used. Nothing is run that is
    not trusted (`trust`), nor anything that the record names and the code does not provide. Raises Refused, NotFound or
    ProofFailed.
    """
    records: list[dict[str, Any]] = []
    raws = run_config.get("plugins") or ()
    for record, raw in zip(declared.read(raws, schema.own_keys()), raws, strict=True):
        recorded, now = _recorded(texts, record, place), _current(record, or_none=not (exact or current))
        changed = now is not None and now.sha256 != record.sha256
        if changed and now is not None and exact and not allow_changed:
            raise messages.CHANGED(source=record.source, difference=source.difference(recorded, now, record.files))
        if now is not None and (not changed or (exact and allow_changed) or current):
            if changed:
                say(f"⚠️  The code of {record.source} has changed: {source.difference(recorded, now, record.files)}.")
                # A person's own work goes on; the path on record may be anyone's, so that it must be the one they named.
                if trust.was_named(record.sha256, str(now.main)) and trust.is_own(now.main):
                    trust.remember(now.sha256, str(now.main))
            _require_trust(record.source, now.sha256, place, now.main)
            registry.load(now)
            provides = naming.provided_again(now, raw["provides"], place, renewed=changed and current)
            records.append({**raw, "sha256": now.sha256, "files": now.digests, "provides": provides})
            continue
        if recorded is None:
            raise messages.NO_SOURCE(source=record.source, path=record.path, folder=place)
        unpacked = _unpacked(record, recorded)
        _require_trust(record.source, record.sha256, place, unpacked.main)
        registry.load(unpacked)
        records.append({**raw, "provides": naming.provided_again(unpacked, raw["provides"], place)})
    return records


def adopt(run_config: Mapping[str, Any], texts: Sources) -> None:
    """Load the plug-ins as rank 0 sent them; it has judged whether they may run."""
    for record in declared.read(run_config.get("plugins") or ()):
        recorded = _recorded(texts, record, Path("rank 0"))
        if registry.source_of(record.sha256) is None and recorded is not None:
            registry.load(_unpacked(record, recorded))


def _unpacked(record: PluginRecord, texts: Mapping[str, str]) -> PluginSource:
    """The recorded source, written to a separate folder that people can read and Python can import from."""
    return source.unpack(record.source, record.module, texts, paths.cache_dir() / "plugins" / record.sha256)


def _recorded(texts: Sources, record: PluginRecord, place: Path) -> dict[str, str] | None:
    """The recorded files of a plug-in, verified; None if they are not on record. Raises ProofFailed."""
    if record.sha256 not in texts:
        return None
    entry = texts[record.sha256]
    files = entry.get("files") if isinstance(entry, Mapping) else None
    good = isinstance(files, Mapping) and all(
        declared.is_relative(name) and isinstance(text, str) for name, text in files.items()
    )
    try:
        contents = {name: text.encode() for name, text in (files or {}).items()} if good else {}
    except UnicodeEncodeError:
        contents = {}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    if not digests or source.sha256_of(digests) != record.sha256:
        raise messages.BAD_SOURCES(file=place / FILE, source=record.source)
    return dict(files or {})


def _current(record: PluginRecord, *, or_none: bool) -> PluginSource | None:
    """The present source at the recorded place; None if there is none any more. Imports nothing.

    Raises Refused if it is no longer valid Python, unless `or_none`.
    """
    try:
        if record.module:
            return source.of_module(record.module, [Path.cwd()])
        path = Path(record.path)
        return source.of_file(path) if path.is_absolute() and path.is_file() else None
    except VsrppError:
        if or_none:
            return None
        raise


def _require_trust(name: str, sha256: str, folder: Path, file: Path) -> None:
    if not trust.is_trusted(sha256):
        raise messages.NOT_TRUSTED(source=name, folder=folder, file=file, sha256=sha256)
