"""What a page shows at this moment, as named fragments of HTML; only those that changed travel to the browser."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from vsrpp import control
from vsrpp.control import LIVE_STATES, RunView
from vsrpp.control.curves import Curves
from vsrpp.errors import NotFound, VsrppError

from . import abilities
from .charts import bars, lines
from .format import esc
from .jobs import Jobs
from .listing import checkpoint_rows, local_rows
from .messages import Texts
from .snapshot import RunWatch, RunWatches
from .tracked import TrackedRuns
from .views import cards, compare, config, header, runs, timeline, validation
from .views import jobs as jobs_view

KEPT_PIECES = 200
LOSS_KEYS = ("loss/total", "loss/l1", "loss/ms", "loss/grad", "loss/perceptual")


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
        have = request.get("have")
        return {**facts, "fragments": _changed(pieces, have if isinstance(have, dict) else {})}

    def _nothing(self, missing: str | None) -> dict[str, Callable[[], str]]:
        return {"header": lambda: header.empty(str(self._watches.folder), self._t, missing=missing)}

    # ---- /monitoring
    def _monitoring(self, watch: RunWatch, snapshot: RunView, view: ViewOptions) -> dict[str, Callable[[], str]]:
        t = self._t
        activity = snapshot.activity()
        words = self._words()
        return {
            "header": lambda: header.header(snapshot, t, others=self._others()),
            "losses": lambda: self._losses(watch, snapshot, view),
            "bars": lambda: bars.stacked_bar(
                snapshot.weights(), percent=True, title=t("weights_bar"), hint=t("in_percent"), empty=t("no_values"), t=t
            ) + bars.stacked_bar(
                snapshot.losses(), percent=False, title=t("values_bar"), hint=t("absolute"), empty=t("no_values"), t=t
            ),
            "peak": lambda: bars.peak_bar(activity, words),
            "streams": lambda: self._streams(watch, activity, view),
            "cards": lambda: cards.cards(snapshot, t),
            "history": lambda: self._same("history", snapshot, view, (), lambda: self._history(snapshot, view)),
            "pictures": lambda: self._same("pictures", snapshot, view, (), lambda: self._pictures(snapshot, view)),
            "timeline": lambda: self._same(
                "timeline", snapshot, view, (), lambda: timeline.timeline(snapshot.events, view.filter, t)
            ),
        }  # fmt: skip

    def _same(
        self, name: str, snapshot: RunView, view: ViewOptions, other: tuple[object, ...], draw: Callable[[], str]
    ) -> str:
        """A piece that depends on the events, the view and `other` alone: drawn once for all tabs and refreshes."""
        place, state = (snapshot.run_id, name, view), (len(snapshot.events), snapshot.step == 0, *other)
        kept = self._kept.get(place)
        if kept is None or kept[0] != state:
            if len(self._kept) > KEPT_PIECES:
                self._kept.clear()
            kept = self._kept[place] = (state, draw())
        return kept[1]

    def _pictures(self, snapshot: RunView, view: ViewOptions) -> str:
        return validation.viewer(
            validation.pictures(snapshot.events), self._t, self._image_url(snapshot.run_id), clip=view.clip, step=view.step,
            against=view.against, left=view.left, right=view.right,
        )  # fmt: skip

    def _words(self) -> dict[str, str]:
        keys = ("no_activity", "peak_activity", *bars.STREAMS)
        levels = ("low", "moderate", "high", "unusual", "extreme")
        return {key: self._t(key) for key in keys} | {f"level.{level}": self._t(f"level.{level}") for level in levels}

    def _others(self) -> list[tuple[str, str]]:
        return [(paths.run_id, paths.run_id) for paths in control.local_runs(self._watches.folder)[:50]]

    def _losses(self, watch: RunWatch, snapshot: RunView, view: ViewOptions) -> str:
        points = max(100, view.width // 2)
        curves = watch.read_curves(LOSS_KEYS, points, view.from_step, view.to_step)
        return self._same("losses", snapshot, view, (curves,), lambda: self._draw_losses(curves, snapshot, view))

    def _draw_losses(self, curves: Curves, snapshot: RunView, view: ViewOptions) -> str:
        t = self._t
        names = {f"loss/{term}": t(f"term.{term}") for term in ("total", *bars.TERMS)}
        drawn = lines.loss_chart(
            curves.series, timeline.marks(snapshot.events, t), width=view.width, height=320 if view.width > 560 else 260,
            smooth=view.smooth, log=view.log, names=names, from_step=view.from_step, to_step=view.to_step,
            words={"not_finite": t("not_finite")},
        )  # fmt: skip
        if not drawn:
            return f'<p class="hint">{esc(t("no_losses", every=snapshot.config.live.get("log_every", 10)))}</p>'
        present = list(dict.fromkeys(loss.key for loss in curves.series))
        key = "".join(
            f'<span class="key"><i style="background:{lines.COLOURS[loss]}"></i>{esc(names[loss])}</span>'
            for loss in present
        )
        if any(loss.abandoned for loss in curves.series):
            key += f'<span class="key faint"><i></i>{esc(t("left_behind"))}</span>'
        late = "" if curves.complete else f'<span class="hint">{esc(t("reading"))}</span>'
        return f'<div class="keys">{key}{late}</div>{drawn}<div class="tip" data-keep hidden></div>'

    def _streams(self, watch: RunWatch, activity: dict[str, float], view: ViewOptions) -> str:
        t = self._t
        if not activity:
            return f'<p class="hint">{esc(t("no_activity"))}</p>'
        counted = [t("layers", n=n) for _, n in bars.stream_averages(activity).values()]
        trends = watch.trends(tuple(f"activity/{name}" for name in activity))
        rows = "".join(
            f'<tr><th scope="row">{esc(name)}</th><td class="{bars.activity_level(value)}">{value:.3f}</td>'
            f"<td>{lines.spark(trends.get(f'activity/{name}', ()))}</td></tr>"
            for name, value in bars.layer_order(activity, view.sort)
        )
        heads = "".join(
            f'<th aria-sort="{"descending" if view.sort == by else "none"}"><button type="button" class="quiet" '
            f'data-view="sort" data-value="{by}" aria-label="{esc(t("sort_by", what=t(by)))}">{esc(t(by))} '
            f"{'▾' if view.sort == by else ''}</button></th>"
            for by in ("layer", "value")
        )
        table = (
            f"<table class='numbers'><thead><tr>{heads}<th>{esc(t('trend'))}</th>"
            f"</tr></thead><tbody>{rows}</tbody></table>"
        )
        return (
            f"{bars.stream_bars(activity, self._words(), counted)}"
            f'<details id="all-layers"><summary>{esc(t("all_layers"))}</summary>'
            f'<div class="scroll">{table}</div></details>'
        )

    def _history(self, snapshot: RunView, view: ViewOptions) -> str:
        t = self._t
        ours, bicubic = (thinned(validation.series(snapshot.events, key)) for key in ("psnr_y", "bicubic_psnr_y"))
        chart = ""
        if len(ours) > 1:
            chart = lines.line_chart(
                [(t("of_bicubic"), "was", bicubic), (t("of_output"), "will", ours)],
                width=min(560, view.width), spoken=t("validation_history"),
            )  # fmt: skip
            keys = (
                f'<span class="key will">{esc(t("of_output"))}</span> <span '
                f'class="key was">{esc(t("of_bicubic"))}</span>'
            )
            chart = f'<p class="keys">PSNR-Y (dB) {keys}</p>{chart}'
        return chart + validation.history(snapshot, t)

    def _image_url(self, run_id: str) -> Callable[[str], str]:
        return lambda path: f"/panel/images/{quote(run_id)}/{quote(path)}"

    # ---- /config
    def _config(self, watch: RunWatch, snapshot: RunView, view: ViewOptions) -> dict[str, Callable[[], str]]:
        t = self._t
        return {
            "header": lambda: header.header(snapshot, t, others=self._others(), config_button=False),
            "not-live": lambda: "" if snapshot.live else
                f'<p class="notice warn">{esc(t("not_live", state=t(f"state.{snapshot.state}")))}</p>',
            "startup": lambda: config.startup_table(snapshot.run_config, t, snapshot.run_id),
            "revisions": lambda: config.revisions(snapshot.events, snapshot.config.revision, t, live=snapshot.live),
        }  # fmt: skip

    # ---- /runs
    def _runs(self, watch: RunWatch, snapshot: RunView, view: ViewOptions) -> dict[str, Callable[[], str]]:
        t, rows, verbs = self._t, local_rows(self._watches.folder), abilities.verbs()
        busy = [str(row.get("name") or row["run_id"]) for row in rows if row["state"] in LIVE_STATES]
        chosen = runs.ChosenRun(
            run_id=snapshot.run_id, state=snapshot.state, runs=self._watches.folder, verbs=verbs, busy=busy
        )  # fmt: skip
        picked = [row for row in rows if row["run_id"] in view.picked]
        return {
            "header": lambda: header.header(snapshot, t, config_button=True),
            "jobs": lambda: jobs_view.jobs(self._jobs.all(), t),
            "all-runs": lambda: runs.runs_table(rows, snapshot.run_id, t, view.picked),
            "compare": lambda: compare.compare(picked, t, can_compare="compare" in verbs),
            "checkpoints": lambda: runs.checkpoint_table(checkpoint_rows(watch.paths, snapshot), chosen, t),
            "commands": lambda: runs.run_commands(chosen, t),
            "tracked": lambda: self._tracked.html(snapshot.run_id, t),
        }


def thinned(points: list[tuple[int, float]], most: int = 240) -> list[tuple[int, float]]:
    """At most about so many of the points, the last among them."""
    every = max(1, len(points) // most)
    return points[::every] + (points[-1:] if len(points) % every != 1 and every > 1 else [])


def _changed(pieces: Mapping[str, Callable[[], str]], have: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    changed = {}
    for name, draw in pieces.items():
        try:
            html = draw()
        except (VsrppError, sqlite3.Error, OSError, ValueError, KeyError, TypeError) as error:
            # One damaged record must not take the whole page away: it says so in its place.
            html = f'<p class="notice bad">{esc(type(error).__name__)}: {esc(error)}</p>'
        tag = hashlib.blake2b(html.encode(), digest_size=8).hexdigest()
        if have.get(name) != tag:
            changed[name] = {"tag": tag, "html": html}
    return changed


def to_json(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
