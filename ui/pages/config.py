"""/config: a form generated from the schema; checked as one types, previewed, applied on the revision it stands on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from vsrpp import config, control
from vsrpp.config.declared import GROUP
from vsrpp.control import RunView
from vsrpp.control.refusals import error_text, problem_text
from vsrpp.errors import VsrppError

from .. import abilities, form, refusals, steering
from ..markup import Piece, needs, piece, render
from ..messages import Texts
from ..snapshot import RunWatches
from ..views import config as view
from ..views.notice import Kind, Notice
from .actions import QUIET, run_of, visitor_of
from .theme import html, navigation


def config_page(watches: RunWatches, t: Texts, language: str, declared: Mapping[str, Any] | None = None) -> gr.Blocks:
    """The page for the runs with the live parameters that `declared` gives, the run config of one of them."""
    page = _Page(watches, t, language, declared)
    return page.blocks


class _Page:
    """The widgets of the page and what happens when they are touched. Nothing of a visitor is kept here."""

    def __init__(self, watches: RunWatches, t: Texts, language: str, declared: Mapping[str, Any] | None) -> None:
        self.watches, self.t, self.language = watches, t, language
        self.parameters = config.live_parameters(declared)
        self.keys, self.weights = form.keys(declared), form.weight_keys(declared)
        self.widgets: dict[str, Any] = {}
        self.notes: dict[str, gr.HTML] = {}
        with gr.Blocks(title="VSR++ · " + t("config"), analytics_enabled=False, fill_width=True) as self.blocks:
            navigation("config", t)
            html(piece("pages/config_top", log_fields=_log_fields(self.parameters)), t, elem_id="content")
            self.run_id = gr.Textbox(visible=False)
            self.told = gr.Textbox(visible=False)
            """The edit of which was said that it ends the run: the next press confirms it."""
            self.base = gr.Number(visible=False, precision=0)
            self.base_mark = html(_base_mark(None), t, elem_id="base")
            with gr.Row(elem_id="form", equal_height=False):
                with gr.Column(scale=3, min_width=320):
                    self._tiers()
                with gr.Column(scale=2, min_width=320, elem_id="side"):
                    self._side()
            html(piece("pages/config"), t, elem_id="body")
            self._events()

    # ---- layout
    def _tiers(self) -> None:
        for tier in ("safe", "careful"):
            with gr.Group(elem_classes=["tier", tier, needs(f"edit.{tier}")]):
                html(piece("pages/heading", text=self.t(f"tier.{tier}")), self.t)
                if tier == "careful":
                    self.together = gr.Checkbox(True, label=self.t("rebalance"), elem_id="rebalance", container=False)
                headed = False
                for key in self.keys:
                    if self.parameters[key].tier == tier:
                        if self.parameters[key].group == GROUP and not headed:
                            headed = True
                            html(piece("pages/heading", text=self.t("plugins")), self.t)
                        with gr.Row(elem_classes="field", equal_height=False):
                            self.widgets[key] = self._widget(self.parameters[key])
                            self.notes[key] = html(None, self.t, elem_id=f"n-{key}", elem_classes="field-note")

    def _widget(self, parameter: config.Parameter) -> gr.components.Component:
        """The right widget for a parameter. Numbers are text, so that what is typed is judged and not rounded away."""
        common: dict[str, Any] = {
            "label": form.label(parameter, self.language), "elem_id": f"f-{parameter.key}", "interactive": True,
            "info": view.field_info(parameter, self.t, self.language) or None,
        }  # fmt: skip
        if parameter.type == "boolean":
            return gr.Checkbox(**common)
        if parameter.type == "choice":
            return gr.Radio(list(parameter.choices), **common)
        if parameter.key in self.weights:
            return gr.Slider(float(parameter.minimum or 0), float(parameter.maximum or 1), step=0.001, **common)
        return gr.Textbox(max_lines=1, elem_classes="log-field" if parameter.scale == "log" else "", **common)

    def _side(self) -> None:
        t = self.t
        html(piece("pages/heading", text=t("preview")), t)
        self.preview = html(view.preview(None, t, self.language), t, elem_id="preview")
        self.reason = gr.Textbox(
            label=t("reason"), placeholder=t("reason_hint"), max_lines=3, max_length=500, elem_id="reason",
            elem_classes="live-only",
        )  # fmt: skip
        self.trial = self._probation() if abilities.probation() else []
        with gr.Row(elem_classes="live-only"):
            self.apply = gr.Button(
                t("apply"), variant="primary", elem_id="apply", min_width=90,
                elem_classes=needs("edit.safe"),
            )  # fmt: skip
            self.discard = gr.Button(t("discard"), elem_id="discard", min_width=90)
            self.defaults = gr.Button(t("use_defaults"), elem_id="defaults", min_width=90)
        self.answer = html(None, t, elem_id="answer")
        self.check = gr.Button("check", elem_id="check", elem_classes="unseen")
        self.refresh = gr.Button("refresh", elem_id="refresh", elem_classes="unseen")
        self.load_revision = gr.Button("load", elem_id="load-revision", elem_classes="unseen")
        self.wanted = gr.Number(visible=False, precision=0)

    def _probation(self) -> list[Any]:
        """The switch, the steps and the condition of an edit on probation."""
        t = self.t
        with gr.Group(elem_classes="live-only", elem_id="probation"):
            switch = gr.Checkbox(False, label=t("probation"), elem_id="probation-on", container=False)
            with gr.Row(elem_id="probation-terms", equal_height=False):
                steps = gr.Textbox(
                    "50", label=t("probation_steps"), max_lines=1, elem_id="probation-steps", min_width=90
                )
                condition = gr.Textbox(
                    "loss > 2x", label=t("probation_if"), max_lines=1, elem_id="probation-if", min_width=120
                )
            html(piece("pages/hint", text=t("probation_hint")), t)
        return [switch, steps, condition]

    # ---- events
    def _events(self) -> None:
        values = [self.widgets[key] for key in self.keys]
        notes = [self.notes[key] for key in self.keys]
        asked = [self.run_id, self.base, *values]
        whole = [self.run_id, self.base, self.base_mark, self.preview, *values, *notes]
        self.blocks.load(self._fill, None, whole, **QUIET)
        self.discard.click(self._fill, None, whole, **QUIET)
        self.refresh.click(self._merge, asked, whole, trigger_mode="always_last", **QUIET)
        self.defaults.click(self._defaults, asked, whole, **QUIET)
        self.load_revision.click(
            self._load, [*asked, self.wanted], [*whole, self.answer], js="(...all) => vsrpp.withRevision(all)", **QUIET
        )
        # The script presses it at every input event: Gradio's own `input` misses deleting, pasting and our sliders.
        self.check.click(self._check, asked, [self.preview, *notes], **QUIET)
        weights = [self.widgets[key] for key in self.weights]
        for key in self.weights:
            rest = [self.widgets[other] for other in self.weights if other != key]
            self.widgets[key].input(
                self._rebalance(key), [self.together, self.run_id, *weights], rest, trigger_mode="always_last", **QUIET
            ).then(self._check, asked, [self.preview, *notes], **QUIET)
        self.apply.click(
            self._apply,
            [*asked, self.reason, self.told, *self.trial],
            [self.answer, self.told, self.reason, *whole],
            trigger_mode="once",
            **QUIET,
        )

    def _snapshot(self, run_id: str, *, fresh: bool = False) -> RunView:
        return self.watches.run(run_id).snapshot(fresh=fresh)

    def _fill(self, request: gr.Request) -> list[Any]:
        """The form as the config in force has it."""
        run_id = run_of(request, self.watches)
        try:
            snapshot = self._snapshot(run_id, fresh=True)
        except VsrppError:
            return [run_id, None, self._html(_base_mark(None)), gr.skip()] + [gr.skip()] * (2 * len(self.keys))
        return self._whole(run_id, snapshot, snapshot.config.live, {})

    def _whole(self, run_id: str, snapshot: RunView, values: dict[str, Any], notes: dict[str, str]) -> list[Any]:
        """Every output of the form: run, base revision, preview, widgets and notes."""
        revision = snapshot.config.revision
        raw = {key: form.to_widget(key, values.get(key), snapshot.run_config) for key in self.keys}
        preview, errors = self._preview(run_id, revision, raw, snapshot)
        return [
            run_id,
            revision,
            self._html(_base_mark(revision)),
            preview,
            *self._updates(raw, snapshot),
            *self._notes(snapshot, errors, notes),
        ]

    def _notes(self, snapshot: RunView, errors: dict[str, str], notes: dict[str, str]) -> list[str]:
        """What stands beside each field, in the order of the form."""
        return [
            self._html(
                view.field_note(
                    self.parameters[key], snapshot, self.t, self.language, error=errors.get(key), note=notes.get(key)
                )
            )
            for key in self.keys
        ]

    def _html(self, shown: Piece) -> str:
        return render(shown, self.t)

    def _told(self, kind: Kind, text: str) -> str:
        return self._html(Notice(kind, text).piece())

    def _updates(self, raw: dict[str, Any], snapshot: RunView) -> list[Any]:
        """The values for the widgets. `interactive` stays untouched where it can: Gradio remounts the widget for it."""
        fixed = form.fixed_weights(snapshot.run_config)
        return [gr.update(value=raw[key], interactive=False) if key in fixed else raw[key] for key in self.keys]

    def _edited(self, raw: dict[str, Any], base: int | None, snapshot: RunView) -> dict[str, Any]:
        """What differs from the revision the form stands on."""
        start = snapshot.config.at(base if base is not None else -1) or snapshot.config.live
        return form.edited(raw, start, snapshot.run_config)

    def _preview(
        self, run_id: str, base: int | None, raw: dict[str, Any], snapshot: RunView
    ) -> tuple[str, dict[str, str]]:
        changes = self._edited(raw, base, snapshot)
        if not changes:
            return self._html(view.preview(None, self.t, self.language)), {}
        result = control.preview(self.watches.paths(run_id), changes, base_revision=base, confirmed=True)
        shown = self._html(view.preview(result, self.t, self.language, snapshot.run_config))
        return shown, {e["key"]: problem_text(e, self.t) for e in result.errors}

    def _check(self, request: gr.Request, run_id: str, base: int | None, *values: Any) -> list[Any]:
        """As one types: what would be refused and why, under each field; what would follow, beside."""
        try:
            snapshot, typed = self._snapshot(run_id), dict(zip(self.keys, values, strict=True))
            start = _whole_number(base)
            steering.check_edit(visitor_of(request), self._edited(typed, start, snapshot), snapshot)
            preview, errors = self._preview(run_id, start, typed, snapshot)
        except VsrppError as error:
            return [self._told("bad", error_text(error, self.t))] + [gr.skip()] * len(self.keys)
        return [preview, *self._notes(snapshot, errors, {})]

    def _rebalance(self, moved: str) -> Callable[..., list[Any]]:
        def rebalance(together: bool, run_id: str, *weights: float) -> list[Any]:
            others = [key for key in self.weights if key != moved]
            if not together or any(weight is None for weight in weights):
                return [gr.skip()] * len(others)
            try:
                fixed = form.fixed_weights(self._snapshot(run_id).run_config)
            except VsrppError:
                return [gr.skip()] * len(others)
            balanced = form.rebalanced(dict(zip(self.weights, weights, strict=True)), moved, fixed=fixed)
            return [balanced[key] for key in others]

        return rebalance

    def _merge(self, request: gr.Request, run_id: str, base: int | None, *values: Any) -> list[Any]:
        """Others changed the config: their values come in, what was typed here stays, and each is told at its field."""
        run_id = run_id or run_of(request, self.watches)
        start = _whole_number(base)
        if start is None:
            return self._fill(request)
        try:
            snapshot = self._snapshot(run_id, fresh=True)
        except VsrppError:
            return self._fill(request)
        raw = dict(zip(self.keys, values, strict=True))
        merged = form.merged(raw, start, snapshot.config, self.t, snapshot.run_config)
        return self._whole(run_id, snapshot, merged.values, merged.notes)

    def _defaults(self, request: gr.Request, run_id: str, base: int | None, *values: Any) -> list[Any]:
        try:
            snapshot = self._snapshot(run_id)
        except VsrppError:
            return self._fill(request)
        preset = str(snapshot.run_config.get("preset", config.default_preset()))
        return self._whole(
            run_id, snapshot, {**snapshot.config.live, **config.defaults(preset, snapshot.run_config)[1]}, {}
        )

    def _load(self, request: gr.Request, run_id: str, base: int | None, *values: Any) -> list[Any]:
        """The values of an earlier revision into the form; they are applied by hand, as a new revision."""
        revision = _whole_number(values[-1])
        try:
            snapshot = self._snapshot(run_id)
        except VsrppError:
            return [*self._fill(request), ""]
        then = snapshot.config.at(revision if revision is not None else -1)
        if then is None:
            return [gr.skip()] * (4 + 2 * len(self.keys)) + [""]
        return [*self._whole(run_id, snapshot, then, {}), self._told("info", self.t("loaded", revision=revision))]

    def _apply(self, request: gr.Request, run_id: str, base: int | None, *values: Any) -> list[Any]:
        """Ask the run for what differs from the revision the form stands on, and say what became of it."""
        raw, (reason, told, *trial) = values[: len(self.keys)], values[len(self.keys) :]
        typed = dict(zip(self.keys, raw, strict=True))
        nothing_new = [gr.skip()] * (4 + 2 * len(self.keys))
        start = _whole_number(base)
        try:
            snapshot = self._snapshot(run_id)
            changes = self._edited(typed, start, snapshot)
            if not changes:
                return [self._told("info", self.t("nothing")), "", gr.skip(), *nothing_new]
            visitor = visitor_of(request)
            steering.check_edit(visitor, changes, snapshot)
            edit, paths = json.dumps(changes, sort_keys=True), self.watches.paths(run_id)
            if edit != told and control.preview(paths, changes, base_revision=start, confirmed=True).ends_run:
                return [self._told("warn", self.t("ends_run.again")), edit, gr.skip(), *nothing_new]
            probation = _terms(*trial) if trial else None
            on_trial: dict[str, Any] = {"probation": probation} if probation else {}
            answer = steering.edit(
                visitor, paths, changes, snapshot, reason=str(reason).strip() or None,
                base_revision=start, confirmed=edit == told, **on_trial,
            )  # fmt: skip
        except VsrppError as error:
            return [self._told("bad", error_text(error, self.t)), "", gr.skip(), *nothing_new]
        if answer.status == "applied":
            message = self._told("good", self.t("applied", step=answer.step, revision=answer.revision))
            return [
                message,
                "",
                "",
                *self._whole(run_id, self._snapshot(run_id, fresh=True), self._snapshot(run_id).config.live, {}),
            ]
        if answer.status == "pending":
            return [self._told("warn", self.t("pending")), "", gr.skip(), *nothing_new]
        return [
            self._refused(answer.errors, answer.message, run_id),
            "",
            gr.skip(),
            *self._after_refusal(run_id, start, typed),
        ]

    def _refused(self, errors: Sequence[Mapping[str, Any]], message: str, run_id: str) -> str:
        snapshot = self._snapshot(run_id, fresh=True)
        parts = []
        for e in errors:
            shown = view.shown_value(e["key"], e["value"], self.t, snapshot.run_config)
            parts.append(f"{e['key']} = {shown}: {problem_text(e, self.t)}")
        why = "; ".join(parts) or message
        return self._told("bad", f"{self.t('refused', why=why)} {self.t('still', revision=snapshot.config.revision)}")

    def _after_refusal(self, run_id: str, base: int | None, typed: dict[str, Any]) -> list[Any]:
        """The form stays as it was typed, brought up to the config in force."""
        snapshot = self._snapshot(run_id)
        start = base if base is not None else snapshot.config.revision
        merged = form.merged(typed, start, snapshot.config, self.t, snapshot.run_config)
        return self._whole(run_id, snapshot, merged.values, merged.notes)


def _terms(switched_on: bool, steps: str, condition: str) -> dict[str, Any] | None:
    """The terms of a probation as `control` takes them, or None without one. Raises Refused."""
    if not switched_on:
        return None
    if not str(steps).strip().isdigit() or int(steps) < 1:
        raise refusals.PROBATION_STEPS(steps=steps)
    return {"steps": int(steps), "revert_if": str(condition).strip()}


def _whole_number(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and value == value else None


def _base_mark(revision: int | None) -> Piece:
    """For the script that merges what others change: the revision the form was filled from."""
    return piece("pages/base_revision", revision="" if revision is None else revision)


def _log_fields(parameters: Mapping[str, config.Parameter]) -> str:
    """For the script that puts a logarithmic slider under the rates: {element: [least, greatest]} as JSON."""
    logarithmic = [p for p in parameters.values() if p.scale == "log" and p.minimum is not None and p.minimum > 0]
    fields = {f"f-{p.key}": [p.minimum, p.maximum] for p in logarithmic}
    return json.dumps(fields)
