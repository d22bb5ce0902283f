"""The runs page: what there is, its checkpoints, and what can be done with them, each with its command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp.control import LIVE_STATES
from vsrpp.documents import RemarkDocument
from vsrpp.formats import NONE, finite, whole
from vsrpp.safe_text import redact

from ..markup import Piece, piece
from ..messages import MLFLOW_STATES, Texts
from ..verbs import Action
from .compare import run_link, web_address
from .jobs import Act


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRun:
    """The chosen run, and what can be done at this moment."""

    run_id: str
    state: str
    runs: Path
    """The folder it lies in."""
    verbs: Sequence[str]
    """Those the command line has."""
    busy: Sequence[str] = ()
    """Names of the runs that train on this machine now."""

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES

    def action(self, verb: str, t: Texts, step: int | None = None) -> Act:
        """The button for it."""
        target = self.wanted(verb, step).target(self.runs) if verb == "restore" else ""
        sure = t(f"sure.{verb}", step=whole(step), folder=target, run=self.run_id)
        warning = (
            t("sure.shared", runs=", ".join(self.busy)) if self.busy and verb in ("from", "resume", "replay") else ""
        )
        line = self.line(verb, step)
        return Act(verb=verb, run_id=self.run_id, step=step, line=line, sure=sure, warning=warning)

    def wanted(self, verb: str, step: int | None = None) -> Action:
        return Action(verb=verb, run_id=self.run_id, step=step, alias="champion" if verb == "promote" else None)

    def line(self, verb: str, step: int | None = None) -> str:
        if verb == "rollback":
            return f"vsrpp rollback {self.run_id} --step {step}"
        return self.wanted(verb, step).line(self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run of the table."""

    run_id: str
    name: str
    state: str
    step: object
    best: Mapping[str, Any] | None
    """{step, psnr_y} of its best checkpoint."""
    edits: int
    started: object
    link: str
    """Its page in MLflow; empty without one."""
    note: RemarkDocument | None = None
    """Why its record cannot be read, or that a newer VSR++ writes it."""


def runs_table(rows: Sequence[Mapping[str, Any]], chosen: str | None, picked: Sequence[str] = ()) -> Piece:
    """The runs of this host; the chosen one is marked, each leads to its own page and can be ticked for comparing."""
    return piece("runs", rows=[_run(row) for row in rows], chosen=chosen, picked=picked)


def _run(row: Mapping[str, Any]) -> RunLine:
    run_id = str(row["run_id"])
    return RunLine(
        run_id=run_id, name=row.get("name") or run_id, state=str(row.get("state")), step=row.get("step"),
        best=row.get("best"), edits=row.get("edits", 0), started=row.get("started"), link=run_link(row.get("mlflow")),
        note=_note(row),
    )  # fmt: skip


def _note(row: Mapping[str, Any]) -> RemarkDocument | None:
    if row.get("error"):
        why = row.get("because") or {"reason_code": "", "fields": {}}
        return {"message": str(row["error"]), "reason_code": why["reason_code"], "fields": why["fields"]}
    newer: RemarkDocument | None = row.get("newer_store")
    return newer


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLine:
    """A checkpoint of the table."""

    step: int
    branch: int
    psnr: float | None
    best: bool
    revision: object
    size_bytes: object
    here: bool
    """On this host."""
    uploaded: bool
    """In MLflow."""
    abandoned: bool
    acts: list[Act]


def checkpoint_table(rows: Sequence[Mapping[str, Any]], chosen: ChosenRun, t: Texts) -> Piece:
    """Step, PSNR, revision, size and where; what can be done with each, as buttons and as commands to copy."""
    return piece("checkpoints", rows=[_checkpoint(row, chosen, t) for row in rows])


def _checkpoint(row: Mapping[str, Any], chosen: ChosenRun, t: Texts) -> CheckpointLine:
    step, psnr = int(row["step"]), finite(row.get("psnr_y"))
    return CheckpointLine(
        step=step, branch=int(row.get("branch") or 0), psnr=psnr, best=bool(row.get("best")),
        revision=row.get("revision", NONE), size_bytes=row.get("size_bytes"), here=bool(row.get("here")),
        uploaded=bool(row.get("uploaded")), abandoned=bool(row.get("abandoned")),
        acts=[chosen.action(verb, t, step) for verb in checkpoint_verbs(row, chosen)],
    )  # fmt: skip


def checkpoint_verbs(row: Mapping[str, Any], chosen: ChosenRun) -> list[str]:
    """What can be done with a checkpoint; nothing with one that is abandoned or no longer stored anywhere."""
    kept = bool(row.get("here") or row.get("uploaded")) and not row.get("abandoned")
    back = chosen.live and bool(row.get("here")) and not row.get("abandoned")
    can = {"rollback": back, "restore": kept, "from": kept, "promote": bool(row.get("uploaded")) and kept}
    word = {"from": "train"}
    return [verb for verb, possible in can.items() if possible and word.get(verb, verb) in chosen.verbs]


def run_commands(chosen: ChosenRun, t: Texts) -> Piece:
    """What one may do with a run, and type about it; only verbs the command line has."""
    run_id = chosen.run_id
    actions = []
    if chosen.state in ("stopped", "dead", "failed"):
        actions.append(("train", "resume"))
    if not chosen.live:
        actions += [("train", "from"), ("replay", "replay")]
    lines = [("status", f"vsrpp status {run_id}"), ("history", f"vsrpp history {run_id} --verify")]
    if chosen.live:
        lines.append(("set", f'vsrpp set {run_id} max_lr=2e-4 --reason "…"'))
    return piece(
        "commands", acts=[chosen.action(verb, t) for word, verb in actions if word in chosen.verbs],
        lines=[(verb, line) for verb, line in lines if verb in chosen.verbs],
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedLine:
    """A run that only the tracking server has."""

    run_id: str
    name: str
    status: str
    known: bool
    """Whether the status is one of MLflow's."""
    psnr_y: object
    started: object
    url: str
    """Its page there; empty where the address is none of the web."""


def tracking(uri: str | None, rows: Sequence[Mapping[str, Any]], why: str | None, *, asked: bool = True) -> Piece:
    """The runs the tracking server knows and this host does not; links into its own pages.

    `why`: it does not answer; `asked`: False until there is an answer.
    """
    server = web_address(uri or "")
    shown = redact(uri or "", path=True)
    return piece("tracked", asked=asked, why=why, uri=shown, server=server, rows=[_tracked(row) for row in rows])


def _tracked(row: Mapping[str, Any]) -> TrackedLine:
    url, status = str(row.get("url") or ""), str(row.get("status") or "")
    return TrackedLine(
        run_id=row["run_id"], name=row.get("name") or row["run_id"], status=status, known=status in MLFLOW_STATES,
        psnr_y=row.get("psnr_y"), started=row.get("started"),
        url=url if url.startswith(("http://", "https://")) else "",
    )  # fmt: skip
