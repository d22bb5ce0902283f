"""The facts of a run folder that two runs of the same code share, as {name: value as text}.

Omits times, hashes of the event chain, IDs, speeds, system load, and the wording of messages. The position of
`checkpoint_saved` among other events depends on the timing of the writer thread, so these events are compared
separately. Nothing here imports the code that wrote the folder.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

Facts = dict[str, str]
SURROUNDINGS = frozenset({"tracking_lost", "tracking_back", "face_failed"})
"""Events about the tracking server and companion processes; their timing depends on those processes."""
ROWS_OF_THE_MACHINE = ("speed/", "system/", "progress/spent_s", "progress/eta_s", "progress/cost")
NOT_COMPARED = frozenset(
    {
        "command", "line", "message", "error", "size_bytes", "versions", "host", "code_version", "training_state.pt",
        "reason_code", "fields", "remarks", "because", "run_config.yaml", "alerts_on", "data_clips", "clips_left_out",
    }
)  # fmt: skip
"""Keys of an event's data and of an answer: wording, and what the older code does not know.

A checkpoint's training_state.pt is compared value by value, and its run_config.yaml line by line, not by the hash of its bytes.
"""
LATER_KEYS: dict[str, Any] = {
    "frame_interval": 1, "flip": True, "transpose": True, "reverse_time": True, "pretrained_partial": False,
    "lr_schedule": "cosine", "lr_milestones": "0.5, 0.8, 0.9, 0.95", "lr_gamma": 0.5, "lr_periods": "0.25",
    "lr_restart_weights": "1",
    "bad_samples": 10,
    "lr_peak_at": 0.3, "optimizer": "adamw", "beta1": 0.9, "beta2": 0.99, "storage_wait_s": None,
    "mlflow_tags": "all", "signing_key": None,
    "alerts_link_local": False, "shared_runs": False,
    "controller_version": 1,
    "validation_version": 1, "network_version": 1, "reader_version": 1, "val_frames": 400, "num_frames_schedule": None,
}  # fmt: skip
"""Keys of a run config that older code does not know, each with the value that means what the older code does."""
MANIFEST = ("format", "step", "branch", "revision", "reason", "metrics")
SHOWN = 60


def outcome(run: Path) -> Facts:
    """Every fact of a run folder."""
    facts: Facts = {}
    with closing(sqlite3.connect(f"{(run / 'run.db').as_uri()}?mode=ro", uri=True)) as db:
        events = _events(db)
        facts |= dict(_event_facts(events))
        facts |= dict(_row_facts(db))
    with closing(sqlite3.connect(f"{(run / 'inbox.db').as_uri()}?mode=ro", uri=True)) as db:
        facts |= dict(_answer_facts(db))
    for folder in sorted((run / "checkpoints").glob("step_*")):
        facts |= dict(_checkpoint_facts(folder, events))
    for picture in sorted((run / "images").rglob("*.png")):
        facts[f"picture {picture.relative_to(run)}"] = _sha256(picture)
    facts["file runtime_config.json"] = (run / "runtime_config.json").read_text()
    facts["file run_config.yaml"] = _known_lines(run / "run_config.yaml")
    return facts


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """One line for each fact that differs or exists on one side only."""
    found = []
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(name, "missing"), new.get(name, "missing")
        if before != after:
            found.append(f"{name}: {_around_difference(before, after)}")
    return found


def summary(found: list[str]) -> str:
    """How many facts of each kind differ, such as `event (3), row (12)`."""
    kinds = Counter(map(_kind, found))
    return ", ".join(f"{kind} ({count})" for kind, count in kinds.items())


def first_of_each_kind(found: list[str], count: int) -> list[str]:
    """The first `count` differences of each kind."""
    shown: list[str] = []
    for line in found:
        if sum(_kind(other) == _kind(line) for other in shown) < count:
            shown.append(line)
    return shown


def _kind(line: str) -> str:
    """`event`, `row`, `answer`, `checkpoint`, `picture`, `file`, …: the first word of a fact's name."""
    return line.split(" ", 1)[0]


def newest_checkpoint(run: Path) -> tuple[int, str]:
    """(step, SHA-256 of the weights) of the newest checkpoint."""
    manifests = {path.parent: json.loads(path.read_text()) for path in run.glob("checkpoints/*/manifest.json")}
    newest = max(manifests, key=lambda folder: (manifests[folder]["branch"], manifests[folder]["step"]))
    return manifests[newest]["step"], _sha256(newest / "model.safetensors")


def event_types(run: Path) -> set[str]:
    with closing(sqlite3.connect(f"{(run / 'run.db').as_uri()}?mode=ro", uri=True)) as db:
        return {type_ for (type_,) in db.execute("SELECT DISTINCT type FROM events")}


def leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """(name, value) of every leaf in nested dicts and lists; for a tensor, its type, shape and SHA-256."""
    if hasattr(value, "numpy"):
        digest = hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
        yield name, f"{value.dtype} {tuple(value.shape)} {digest}"
    elif isinstance(value, dict):
        yield name, f"dict of {len(value)}"
        for key, item in value.items():
            yield from leaves(item, f"{name}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        yield name, f"{type(value).__name__} of {len(value)}"
        for number, item in enumerate(value):
            yield from leaves(item, f"{name}[{number}]")
    else:
        yield name, f"{type(value).__name__} {value!r}"


# ---- events, rows, answers
def _events(db: sqlite3.Connection) -> list[dict[str, Any]]:
    names = ("seq", "step", "branch", "type", "revision", "origin", "author", "data")
    rows = db.execute(f"SELECT {', '.join(names)} FROM events ORDER BY seq")
    return [{**dict(zip(names, row, strict=True)), "data": json.loads(row[-1])} for row in rows]


def _event_facts(events: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    ordered = [event for event in events if event["type"] not in SURROUNDINGS | {"checkpoint_saved"}]
    for number, event in enumerate(ordered):
        data = _compared(event["data"])
        if "to_seq" in data:
            data["to_seq"] = _place(data["to_seq"], events)
        facts = {name: event[name] for name in ("type", "step", "branch", "revision", "origin", "author")}
        yield f"event {number}", _text({**facts, "data": data})
    saved: dict[str, list[Any]] = {}
    for event in events:
        if event["type"] == "checkpoint_saved":
            name = f"event checkpoint_saved of step {event['step']}, branch {event['branch']}"
            saved.setdefault(name, []).append(_compared(event["data"]))
    yield from ((name, _text(data)) for name, data in sorted(saved.items()))


def _place(seq: int, events: list[dict[str, Any]]) -> int:
    """The number of events up to `seq`, counting only those whose order does not depend on timing."""
    return sum(event["seq"] <= seq for event in events if event["type"] not in SURROUNDINGS | {"checkpoint_saved"})


def _compared(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _compared(item)
            for key, item in value.items()
            if key not in NOT_COMPARED and not (key in LATER_KEYS and item == LATER_KEYS[key])
        }
    return [_compared(item) for item in value] if isinstance(value, list) else value


def _row_facts(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    rows = db.execute(
        "SELECT branch, step, key, value FROM metrics m JOIN metric_keys k ON k.id = m.key_id ORDER BY branch, step, key"
    )
    for branch, step, key, value in rows:
        if not key.startswith(ROWS_OF_THE_MACHINE):
            yield f"row {key} of step {step}, branch {branch}", "nan" if value is None else repr(value)


def _answer_facts(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for number, (kind, answer) in enumerate(db.execute("SELECT kind, answer FROM commands ORDER BY id")):
        yield f"answer {number} to {kind}", _text(_compared(json.loads(answer))) if answer else "none"


# ---- checkpoints
def _checkpoint_facts(folder: Path, events: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    import torch

    name = f"checkpoint {folder.name}"
    manifest = json.loads((folder / "manifest.json").read_text())
    yield f"{name} manifest", _text({key: manifest.get(key) for key in MANIFEST})
    yield f"{name} chain", str(_place(manifest["chain"]["seq"], events))
    yield f"{name} files", _text(sorted(path.name for path in folder.iterdir()))
    for file in ("model.safetensors", "model_ema.safetensors", "runtime_config.json"):
        yield f"{name} {file}", _sha256(folder / file)
    yield f"{name} run_config.yaml", _known_lines(folder / "run_config.yaml")
    state = torch.load(folder / "training_state.pt", map_location="cpu", weights_only=True)
    yield from leaves(state, f"{name} training_state.pt")


def _known_lines(run_config: Path) -> str:
    """The text of a run config without what is not compared, and without LATER_KEYS that have the old meaning."""
    later = {yaml.safe_dump({key: value}).strip() for key, value in LATER_KEYS.items()}
    lines = run_config.read_text().splitlines()
    return "\n".join(line for line in lines if line not in later and line.split(":")[0] not in NOT_COMPARED)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _around_difference(before: str, after: str) -> str:
    """Both values, cut to the text around their first difference."""
    if max(len(before), len(after)) <= SHOWN:
        return f"{before} → {after}"
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    start = max(0, shared - SHOWN // 3)
    return " → ".join(f"{'…' if start else ''}{text[start : start + SHOWN]}" for text in (before, after))
