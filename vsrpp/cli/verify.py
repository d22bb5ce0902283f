"""`vsrpp history --verify`: the chain, the anchors outside of run.db, and with `--key` the signatures."""

from __future__ import annotations

from typing import Any

from vsrpp import control
from vsrpp.cli import early, messages
from vsrpp.cli.json_output import print_json
from vsrpp.formats import counted
from vsrpp.output import green, say, yellow
from vsrpp.paths import RunPaths
from vsrpp.safe_text import safe
from vsrpp.store import ChainCheck, RunReader
from vsrpp.store.signing import Verifier, short
from vsrpp.tracking.anchor import DeliveredRun, ServerHead, delivered, server_head

MLFLOW = "MLflow"


def verify_record(run: RunPaths, *, verifier: Verifier | None, local: bool, as_json: bool) -> int:
    """Check the record and say against what. `local`: do not ask MLflow, the only network access of a reading command.

    Raises ProofFailed if anything contradicts it. An unreachable server is no failure.
    """
    server = None if local else delivered(run)
    head = _ask(server) if server is not None else None
    verdict = control.verify(run, [(MLFLOW, head.seq, head.hash)] if head is not None and head.seq else [])
    signed = control.verify_signatures(run, verifier) if verdict.ok and verifier is not None else None
    fault = signed if signed is not None and not signed.ok else verdict
    manifests = len(control.checkpoint_steps(run))
    if as_json:
        checked = None
        if verifier is not None and signed is not None:
            checked = {"key": verifier.public_key, "valid": signed.ok, "events": signed.events, "manifests": manifests}
        print_json(
            {"holds": fault.ok, "events": verdict.events, "broken_at": fault.broken_at,
             "anchors": _anchors(run, verdict, head), "signatures": checked}
        )  # fmt: skip
    if not fault.ok:
        raise messages.BROKEN_RECORD(run=run.run_id, why=fault.why)
    if as_json:
        return 0
    say(green(f"✅ the chain holds: {verdict.events} events, head {verdict.head[:16]}…"))
    say(f"   anchors: {_manifests(run)}; {_server(server, head, local=local)}", hang=3)
    if verifier is not None:
        both = f"{counted(verdict.events, 'event')} and {counted(manifests, 'manifest')}"
        say(green(f"✅ signed with key {short(verifier.public_key)}: {both}"))
    elif (recorded := _recorded_key(run)) is not None:
        say(
            yellow(f"   signed with key {safe(short(recorded))}, not checked; to check: --verify --key PUBLIC.pem"),
            hang=3,
        )
    return 0


def _ask(server: DeliveredRun) -> ServerHead:
    early.asking(server.uri)
    return server_head(server)


def _manifests(run: RunPaths) -> str:
    count = len(control.manifest_anchors(run))
    return f"{counted(count, 'manifest')} of local checkpoints" if count else "no local checkpoint"


def _server(server: DeliveredRun | None, head: ServerHead | None, *, local: bool) -> str:
    if local:
        return f"{MLFLOW} was not asked (--local)"
    if server is None or head is None:
        return f"{MLFLOW} was not asked: nothing was uploaded yet"
    if not head.seq:
        return yellow(f"{MLFLOW} could not be checked: {safe(head.why)}")
    return f"{MLFLOW} has the head at event {head.seq}"


def _anchors(run: RunPaths, verdict: ChainCheck, head: ServerHead | None) -> list[dict[str, Any]]:
    """Where the record's heads are recorded elsewhere, and whether the events up to there match; null: not known."""
    anchors = control.manifest_anchors(run)
    if head is not None and head.seq:
        anchors.append((MLFLOW, head.seq, head.hash))
    rows: list[dict[str, Any]] = []
    with RunReader(run.run_db) as reader:
        for where, seq, hash in anchors:
            whole = verdict.broken_at is None or seq < verdict.broken_at
            there = next(iter(reader.events(after_seq=seq - 1, limit=1)), None) if whole else None
            agrees = there is not None and (there.seq, there.hash) == (seq, hash)
            rows.append({"where": where, "seq": seq, "agrees": agrees, "why": None})
    if head is not None and not head.seq:
        rows.append({"where": MLFLOW, "seq": None, "agrees": None, "why": head.why})
    return rows


def _recorded_key(run: RunPaths) -> str | None:
    with RunReader(run.run_db) as reader:
        started = reader.last_event("started")
    signing = (started.data.get("signing") if started else None) or {}
    return str(signing["public_key"]) if signing.get("public_key") else None
