"""What a page shows at this moment, as named fragments of HTML; only those that changed travel to the browser."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from jinja2 import TemplateError

from vsrpp import control
from vsrpp.control import LIVE_STATES, RunView
from vsrpp.control.curves import Curves
from vsrpp.control.refusals import error_text
from vsrpp.errors import NotFound, VsrppError
from vsrpp.store import Event

from . import abilities
from .charts import bars, lines
from .jobs import Jobs
from .listing import checkpoint_rows, local_rows
from .markup import Piece, piece, render
from .messages import Texts
from .snapshot import KEPT_RUNS, RunWatch, RunWatches
from .tracked import TrackedRuns
from .views import cards, compare, config, header, runs, timeline, validation
from .views import jobs as jobs_view
from .views.notice import Notice

Pieces = dict[str, Callable[[], Piece | str | None]]
"""What a page shows, by the place it goes to: drawn when asked for. Text is markup that `_same` has kept."""
KEPT_PIECES = 200


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer of the table of activities."""

    name: str
    value: float
    level: str
    trend: lines.Spark | None


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """How one tab wants to see it; comes from the browser, so every field is forced into its range."""

    width: int = 900
    smooth: float = 0.6
    log: bool = False
    from_step: int = 0
    to_step: int | None = None
    filter: str = "all"
    sort: str = "layer"
    clip: str | None = None
    step: int | None = None
    against: int | None = None
    left: str = "bicubic"
    right: str = "output"
    picked: tuple[str, ...] = ()
    """Runs ticked for comparing."""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> ViewOptions:
        start, stop = _int(raw.get("from")), _int(raw.get("to"))
        picked = raw.get("picked")
        return cls(
            width=_class_of(min(2000, max(280, _int(raw.get("w")) or 900))),
            smooth=min(0.99, max(0.0, _float(raw.get("smooth"), 0.6))),
            log=raw.get("log") is True,
            from_step=max(0, start or 0),
            to_step=stop if stop is not None and stop > (start or 0) else None,
            filter=str(raw.get("filter", "all"))[:20],
            sort="value" if raw.get("sort") == "value" else "layer",
            clip=str(raw["clip"])[:200] if raw.get("clip") else None,
            step=_int(raw.get("pstep")), against=_int(raw.get("against")),
            left=str(raw.get("left", "bicubic"))[:10], right=str(raw.get("right", "output"))[:10],
            picked=tuple(str(run_id)[:200] for run_id in picked[: compare.MOST]) if isinstance(picked, list) else (),
        )  # fmt: skip


def _class_of(width: int) -> int:
    """A width many tabs share, so that one drawing serves them: the page stretches it by less than a tenth."""
    return width // 100 * 100 if width > 600 else width // 20 * 20


def _int(value: Any) -> int | None:
    try:
        return max(-1, min(10**9, int(value)))
    except (TypeError, ValueError, OverflowError):
        return None


def _float(value: Any, default: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return default
    return number if number == number else default


class FragmentRenderer:
    """Draws the fragments of every page in one language."""

    def __init__(
        self, watches: RunWatches, t: Texts, language: str, tracked: TrackedRuns, jobs: Jobs | None = None
    ) -> None:
        self._watches = watches
        self._jobs = jobs or Jobs(watches.folder)
        self._t = t
        self._language = language
        self._tracked = tracked
        self._marks: dict[str, tuple[Sequence[Event], list[lines.Mark]]] = {}
        self._kept: dict[tuple[object, ...], tuple[tuple[object, ...], str]] = {}

    def answer(self, page: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """{run, state, revision, next_s, fragments: {name: {tag, html}}}: what changed since `request["have"]`."""
        run_id = str(request.get("run") or "") or self._watches.default_run()
        raw_view = request.get("view")
        view = ViewOptions.of(raw_view if isinstance(raw_view, dict) else {})
        facts: dict[str, Any] = {"run": run_id, "state": "none", "live": False, "revision": None, "next_s": 2.0}
        try:
            if run_id is None:
                pieces = self._nothing(None)
            else:
                watch = self._watches.run(run_id)
                snapshot = watch.snapshot()
                facts.update(
                    run=snapshot.run_id, state=snapshot.state, live=snapshot.live, revision=snapshot.config.revision,
                    next_s=1.0 if snapshot.live else 4.0,
                )  # fmt: skip
                pieces = getattr(self, f"_{page}")(watch, snapshot, view)
        except NotFound:
            facts["run"] = None
            pieces = self._nothing(run_id)
        except VsrppError as error:
            self._watches.forget(str(run_id))
            facts["state"] = "unreadable"
            pieces = self._unreadable(page, str(run_id), Notice("bad", error_text(error, self._t)), view)
        have = request.get("have")
        return {**facts, "fragments": _changed(pieces, self._t, have if isinstance(have, dict) else {})}

    def _nothing(self, missing: str | None) -> Pieces:
        return {"header": lambda: header.empty(str(self._watches.folder), missing=missing)}

    def _unreadable(self, page: str, run_id: str, why: Notice, view: ViewOptions) -> Pieces:
        """The page of a run whose record cannot be read: why, and on the page of runs the healthy ones, too."""
        said: Pieces = {"header": lambda: why.piece("alert")}
        if page != "runs":
            return said
        rows = local_rows(self._watches.folder)
        return {
            **said,
            "jobs": lambda: jobs_view.jobs(self._jobs.all()),
            "all-runs": lambda: runs.runs_table(rows, run_id, view.picked),
            "tracked": self._tracked.piece,
        }

    # ---- /monitoring
    def _monitoring(self, watch: RunWatch, snapshot: RunView, view: ViewOptions) -> Pieces:
        t = self._t
        activity = snapshot.activity()
        return {
            "header": lambda: header.header(snapshot, t, others=self._others()),
            "losses": lambda: self._losses(watch, snapshot, view),
            "bars": lambda: piece(
                "bars", weights=bars.stacked_bar(snapshot.weights(), snapshot.terms, t.language, percent=True),
                losses=bars.stacked_bar(snapshot.losses(), snapshot.terms, t.language, percent=False),
            ),
            "peak": lambda: piece("peak", peak=bars.peak_bar(activity)),
            "streams": lambda: self._streams(watch, activity, view),
            "cards": lambda: cards.cards(snapshot, t),
            "history": lambda: self._same("history", snapshot, view, (), lambda: self._history(snapshot, view)),
            "pictures": lambda: self._same("pictures", snapshot, view, (), lambda: self._pictures(snapshot, view)),
            "timeline": lambda: self._same(
                "timeline", snapshot, view, (), lambda: timeline.timeline(snapshot, view.filter, t)
            ),
        }  # fmt: skip

    def _same(
        self, name: str, snapshot: RunView, view: ViewOptions, other: tuple[object, ...], draw: Callable[[], Piece]
    ) -> str:
        """A piece that depends on the events, the view and `other` alone: drawn once for all tabs and refreshes."""
        newest = snapshot.events[-1].seq if snapshot.events else 0
        place, state = (snapshot.run_id, name, view), (newest, snapshot.step == 0, *other)
        kept = self._kept.get(place)
        if kept is None or kept[0] != state:
            if len(self._kept) > KEPT_PIECES:
                self._kept.clear()
            kept = self._kept[place] = (state, render(draw(), self._t))
        return kept[1]

    def _pictures(self, snapshot: RunView, view: ViewOptions) -> Piece:
        return validation.viewer(
            validation.pictures(snapshot.events), self._t, self._image_url(snapshot.run_id), clip=view.clip, step=view.step,
            against=view.against, left=view.left, right=view.right,
        )  # fmt: skip

    def _others(self) -> list[tuple[str, str]]:
        return [(paths.run_id, paths.run_id) for paths in control.local_runs(self._watches.folder)[:50]]

    def _losses(self, watch: RunWatch, snapshot: RunView, view: ViewOptions) -> str:
        points = max(100, view.width // 2)
        keys = (lines.TOTAL, *(f"loss/{term.name}" for term in snapshot.terms))
        curves = watch.read_curves(keys, points, view.from_step, view.to_step)
        return self._same("losses", snapshot, view, (curves,), lambda: self._draw_losses(curves, snapshot, view))

    def _draw_losses(self, curves: Curves, snapshot: RunView, view: ViewOptions) -> Piece:
        t = self._t
        names = {
            lines.TOTAL: t("term.total"),
            **{f"loss/{one.name}": one.label_in(t.language) for one in snapshot.terms},
        }
        colours = {lines.TOTAL: lines.TOTAL_COLOUR, **{f"loss/{one.name}": one.colour for one in snapshot.terms}}
        chart = lines.loss_chart(
            curves.series, self._marks_of(snapshot), colours, width=view.width, height=320 if view.width > 560 else 260,
            smooth=view.smooth, log=view.log, from_step=view.from_step, to_step=view.to_step,
        )  # fmt: skip
        return piece(
            "losses", chart=chart, names=names, colours=colours,
            present=list(dict.fromkeys(curve.key for curve in curves.series)),
            abandoned=any(curve.abandoned for curve in curves.series), complete=curves.complete,
            log_every=snapshot.config.live.get("log_every", 10),
        )  # fmt: skip

    def _marks_of(self, snapshot: RunView) -> list[lines.Mark]:
        """The events on the curves, put into words once for all tabs and widths."""
        kept = self._marks.get(snapshot.run_id)
        if kept is None or kept[0] is not snapshot.events:
            if len(self._marks) > KEPT_RUNS:
                self._marks.clear()
            kept = self._marks[snapshot.run_id] = (snapshot.events, timeline.marks(snapshot.events, self._t))
        return kept[1]

    def _streams(self, watch: RunWatch, activity: dict[str, float], view: ViewOptions) -> Piece:
        trends = watch.trends(tuple(f"activity/{name}" for name in activity)) if activity else {}
        layers = [
            LayerRow(name, value, bars.activity_level(value), lines.spark(trends.get(f"activity/{name}", ())))
            for name, value in bars.layer_order(activity, view.sort)
        ]
        return piece("streams", bars=bars.stream_bars(activity), layers=layers, sort=view.sort)

    def _history(self, snapshot: RunView, view: ViewOptions) -> Piece:
        return validation.history(snapshot, self._t, width=view.width)

    def _image_url(self, run_id: str) -> Callable[[str], str]:
        return lambda path: f"/panel/images/{quote(run_id)}/{quote(path)}"

    # ---- /config
    def _config(self, watch: RunWatch, snapshot: RunView, view: ViewOptions) -> Pieces:
        t = self._t
        return {
            "header": lambda: header.header(snapshot, t, others=self._others(), config_button=False),
            "not-live": lambda: None if snapshot.live else piece("not_live", state=snapshot.state),
            "startup": lambda: config.startup_table(snapshot.run_config, t, snapshot.run_id),
            "revisions": lambda: config.revisions(snapshot.events, snapshot.config.revision, t, live=snapshot.live),
        }

    # ---- /runs
    def _runs(self, watch: RunWatch, snapshot: RunView, view: ViewOptions) -> Pieces:
        t, rows, verbs = self._t, local_rows(self._watches.folder), abilities.verbs()
        busy = [str(row.get("name") or row["run_id"]) for row in rows if row["state"] in LIVE_STATES]
        chosen = runs.ChosenRun(
            run_id=snapshot.run_id, state=snapshot.state, runs=self._watches.folder, verbs=verbs, busy=busy
        )  # fmt: skip
        picked = [row for row in rows if row["run_id"] in view.picked]
        return {
            "header": lambda: header.header(snapshot, t, config_button=True),
            "jobs": lambda: jobs_view.jobs(self._jobs.all()),
            "all-runs": lambda: runs.runs_table(rows, snapshot.run_id, view.picked),
            "compare": lambda: compare.compare(picked, can_compare="compare" in verbs),
            "checkpoints": lambda: runs.checkpoint_table(checkpoint_rows(watch.paths, snapshot), chosen, t),
            "commands": lambda: runs.run_commands(chosen, t),
            "tracked": self._tracked.piece,
        }


def _changed(pieces: Pieces, t: Texts, have: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    changed = {}
    for name, draw in pieces.items():
        try:
            drawn = draw()
            html = drawn if isinstance(drawn, str) else render(drawn, t)
        except VsrppError as error:
            html = render(Notice("bad", error_text(error, t)).piece(), t)
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError, TemplateError) as error:
            # One damaged record must not take the whole page away: it says so in its place.
            html = render(piece("damaged", error=type(error).__name__, why=str(error)), t)
        tag = hashlib.blake2b(html.encode(), digest_size=8).hexdigest()
        if have.get(name) != tag:
            changed[name] = {"tag": tag, "html": html}
    return changed
