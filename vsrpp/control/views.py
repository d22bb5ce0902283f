"""Read-only views of a run: config, history, checkpoints. A live run is not affected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from vsrpp import config
from vsrpp import manifest as manifests
from vsrpp.config import schema
from vsrpp.control.best import BestCheckpoint, BestRule, best_on_record
from vsrpp.control.edits import current_config, run_config_of
from vsrpp.paths import RunPaths, checkpoint_step
from vsrpp.store import ChainCheck, Event, RunReader
from vsrpp.store.signing import SIGNATURE, Verifier, short


def run_config(paths: RunPaths) -> dict[str, Any]:
    """The run's startup config as resolved, with what the last resume changed; it declares the parameters of plug-ins."""
    with RunReader(paths.run_db) as reader:
        return run_config_of(reader)


def config_view(paths: RunPaths) -> dict[str, Any]:
    """The live config with tiers, ranges and who last set each value; the startup keys as resolved; and the plug-ins."""
    with RunReader(paths.run_db) as reader:
        history, run_config = current_config(reader), run_config_of(reader)
    rows = []
    for key, parameter in config.parameters(run_config).items():
        live = parameter.tier != "startup"
        event = history.last_change(key)
        rows.append(
            {
                "key": key,
                "value": (history.live if live else run_config).get(key),
                "tier": parameter.tier,
                "minimum": parameter.minimum,
                "maximum": parameter.maximum,
                "default": parameter.default_for(str(run_config.get("preset", "base"))),
                "unit": parameter.unit,
                "description": parameter.description,
                "menu": parameter.menu,
                "changed_by": (event.author or event.origin) if event else None,
                "changed_origin": event.origin if event else None,
                "changed_at_step": event.step if event else None,
            }
        )
    plugins = [
        {"source": plugin.source, "sha256": plugin.sha256, "distribution": plugin.distribution,
         "provides": [{"kind": one.kind, "name": one.name, "label": one.label} for one in plugin.provides]}
        for plugin in schema.of(run_config).plugins
    ]  # fmt: skip
    return {"revision": history.revision, "parameters": rows, **({"plugins": plugins} if plugins else {})}


def history(paths: RunPaths) -> list[Event]:
    """All events of a run, oldest first."""
    with RunReader(paths.run_db) as reader:
        return list(reader.events())


def each_event(paths: RunPaths, *, after: int = 0, limit: int | None = None) -> Iterator[Event]:
    """The events of a run after number `after`, oldest first, read one by one: a long history takes no memory."""
    with RunReader(paths.run_db) as reader:
        yield from reader.events(after_seq=after, limit=-1 if limit is None else limit)


Anchor = tuple[str, int, str]
"""(where, sequence number, hash): the head of the chain as recorded outside of run.db."""


def manifest_anchors(paths: RunPaths) -> list[Anchor]:
    """The heads in the manifests of the local checkpoints."""
    anchors = []
    for step in checkpoint_steps(paths):
        manifest = manifest_of(paths, step)
        if manifest and "chain" in manifest:
            anchors.append((f"checkpoint {step}", int(manifest["chain"]["seq"]), str(manifest["chain"]["hash"])))
    return anchors


def verify(paths: RunPaths, others: Iterable[Anchor] = ()) -> ChainCheck:
    """Verify the event chain, up to the heads recorded in the checkpoints' manifests, and to `others`."""
    with RunReader(paths.run_db) as reader:
        return reader.verify([*manifest_anchors(paths), *others])


def verify_signatures(paths: RunPaths, verifier: Verifier) -> ChainCheck:
    """Verify that the key signed every event and every local checkpoint's manifest; the chain itself is not verified."""
    with RunReader(paths.run_db) as reader:
        count, head = reader.head()
        unsigned = reader.first_unsigned(verifier)
    if unsigned is not None:
        seq, why = unsigned
        return ChainCheck(False, seq - 1, head, seq, why)
    for step in checkpoint_steps(paths):
        manifest = manifest_of(paths, step) or {}
        if SIGNATURE not in manifest:
            return ChainCheck(False, count, head, None, f"the manifest of checkpoint {step} is not signed")
        if not verifier.holds_manifest(manifest):
            why = f"key {short(verifier.public_key)} did not sign the manifest of checkpoint {step}"
            return ChainCheck(False, count, head, None, why)
    return ChainCheck(True, count, head)


def checkpoint_steps(paths: RunPaths) -> list[int]:
    """Steps of the complete checkpoints on disk, ascending."""
    if not paths.checkpoints.is_dir():
        return []
    steps = [checkpoint_step(folder) for folder in paths.checkpoints.iterdir() if (folder / "manifest.json").is_file()]
    return sorted(step for step in steps if step is not None)


def manifest_of(paths: RunPaths, step: int) -> dict[str, Any] | None:
    """The manifest of a checkpoint; None without one, or for one that cannot be read."""
    try:
        return manifests.read(paths.checkpoint(step))
    except (OSError, ValueError):
        return None


def best_of(reader: RunReader) -> BestCheckpoint | None:
    """The best checkpoint of the current line by the run's own metric; None if none was validated."""
    return best_on_record(reader, BestRule.of(run_config_of(reader)))
