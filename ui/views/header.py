"""The head of every page: which run, in what state, how far, how fast; and the plain word when it no longer trains."""

from __future__ import annotations

from dataclasses import dataclass

from vsrpp.control import RunView
from vsrpp.control.narrate import phase, probation_terms
from vsrpp.control.refusals import remark_text
from vsrpp.formats import NONE, duration, finite, mebibytes, number, rate, whole

from ..markup import Piece, piece
from ..messages import Texts
from .delivery import sentences
from .notice import Notice


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the header."""

    title: str
    value: str
    small: str = ""
    """What it is measured against."""


def badges(snapshot: RunView, t: Texts) -> list[tuple[str, str]]:
    """(kind, word) of the state and of everything that goes with it."""
    labels: list[tuple[str, str]] = [(snapshot.state, t(f"state.{snapshot.state}"))]
    if snapshot.silent:
        labels = [("silent", t("state.silent"))]
    if snapshot.live and snapshot.on_probation:
        labels.append(("probation", t("state.probation")))
    if snapshot.live and snapshot.plateau:
        labels.append(("plateau", t("state.plateau")))
    if snapshot.behind:
        labels.append(("behind", t("state.behind")))
    return labels


def header(
    snapshot: RunView, t: Texts, *, others: list[tuple[str, str]] | None = None, config_button: bool = True
) -> Piece:
    """Name and state, the bar of progress, and the figures one looks for first. `others`: (run ID, word) to choose from."""
    total = snapshot.max_steps
    return piece(
        "header", name=snapshot.name or snapshot.run_id, run_id=snapshot.run_id, badges=badges(snapshot, t),
        others=others or [], config_button=config_button, step=snapshot.step, max_steps=int(total),
        share=min(1.0, snapshot.step / total) if total > 0 else 0.0, figures=_figures(snapshot, t),
        notices=notices(snapshot, t),
    )  # fmt: skip


def _figures(snapshot: RunView, t: Texts) -> list[Figure]:
    total = snapshot.max_steps or None
    share = f"{snapshot.step / total * 100:.1f} %" if total else ""
    speed, moving = snapshot.steps_per_s, snapshot.live and snapshot.state not in ("paused", "waiting")
    return [
        Figure(t("step"), whole(snapshot.step), f"{t('of')} {whole(total)} · {share}"),
        Figure(t("phase"), phase(snapshot.phase).text(t) if snapshot.phase else NONE),
        Figure(t("eta"), duration(snapshot.eta_s) if moving else NONE),
        Figure(t("speed"), number(speed, 2), t("steps_per_s")) if moving else Figure(t("speed"), NONE),
        Figure(t("rate"), rate(snapshot.lr)),
        Figure(t("revision"), str(snapshot.revision), f"{t('branch')} {snapshot.branch}" if snapshot.branch else ""),
        _memory(snapshot, t),
    ]


def _memory(snapshot: RunView, t: Texts) -> Figure:
    """GPU memory in use, of how much; on a machine without a GPU, the memory of the training process."""
    gpu = finite(snapshot.metric("system/gpu_memory_mib"))
    total = finite(snapshot.metric("system/gpu_memory_total_mib"))
    if gpu is not None:
        return Figure(t("gpu_memory"), mebibytes(gpu), f"{t('of')} {mebibytes(total)}" if total else "")
    return Figure(t("memory"), mebibytes(snapshot.metric("system/process_memory_mib")))


def notices(snapshot: RunView, t: Texts) -> list[Notice]:
    """The plain sentence for a state in which nothing moves, or in which something waits."""
    said = [Notice("warn", remark_text(snapshot.newer_store, t))] if snapshot.newer_store else []
    step, run = whole(snapshot.step), snapshot.run_id
    if snapshot.silent:
        said.append(Notice("warn", t("says.silent", age=duration(snapshot.quiet_s))))
    elif snapshot.state == "paused":
        said.append(Notice("info", t("says.paused", step=step)))
    elif snapshot.state == "waiting":
        said.append(Notice("bad", t("says.waiting", step=step, why=snapshot.waits_because.text(t))))
    elif snapshot.state == "finished":
        said.append(Notice("good", t("says.finished")))
    elif snapshot.state == "stopped":
        said.append(Notice("info", t("says.stopped", step=step, run=run)))
    elif snapshot.state == "dead":
        said.append(Notice("bad", t("says.dead", age=duration(snapshot.quiet_s), run=run)))
    elif snapshot.state == "failed":
        said.append(Notice("bad", t("says.failed", why=_failure(snapshot, t))))
    if snapshot.on_probation and snapshot.probation:
        terms = snapshot.probation
        until, condition = whole(terms.get("until_step")), probation_terms(terms.get("revert_if")).text(t)
        said.append(
            Notice("warn", t("says.probation", step=until, revision=terms.get("revision"), condition=condition))
        )
    return said + [Notice("warn", sentence) for sentence in sentences(snapshot, t)]


def _failure(snapshot: RunView, t: Texts) -> str:
    told = snapshot.failure()
    return (told.detail(t) or told.headline.text(t)) if told else NONE


def empty(folder: str, *, missing: str | None = None) -> Piece:
    """With no runs yet it teaches what to type. `missing`: a run that was asked for and is not there."""
    return piece("empty", folder=folder, missing=missing)
