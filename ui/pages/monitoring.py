"""/monitoring: the live fragments, and the buttons that command the run."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from vsrpp.control.narrate import FILTERS

from ..format import esc
from ..messages import Texts
from ..snapshot import RunWatches
from ..views.header import navigation
from .actions import QUIET, ask, run_of
from .theme import html, slot

COMMANDS = ("pause", "resume", "validate", "checkpoint")


def monitoring_page(watches: RunWatches, t: Texts, language: str) -> gr.Blocks:
    with gr.Blocks(title="VSR++ · " + t("monitoring"), analytics_enabled=False, fill_width=True) as page:
        html(navigation("monitoring", None, t), elem_id="nav")
        html(slot("header", tag="header", extra=f'<p class="boot hint">{esc(t("loading"))}</p>'), elem_id="content")
        run_id = gr.Textbox(visible=False)
        with gr.Row(elem_id="commands", elem_classes="live-only"):
            buttons = {kind: gr.Button(t(kind), elem_id=f"do-{kind}", size="sm", min_width=90) for kind in COMMANDS}
            stop = gr.Button(t("stop"), elem_id="do-stop", size="sm", min_width=90)
        with gr.Row(elem_id="sure"):
            html(f'<p class="notice warn" role="alert">{esc(t("stop_sure"))}</p>')
            buttons["stop"] = gr.Button(t("stop_yes"), elem_id="stop-yes", variant="stop", size="sm", min_width=90)
            keep = gr.Button(t("stop_no"), elem_id="stop-no", size="sm", min_width=90)
        answer = html("", elem_id="answer")
        for kind, button in buttons.items():
            button.click(
                _command(kind, watches, t), run_id, answer, **QUIET,
                js="(run) => { vsrpp.sure(false); return vsrpp.run() || run }",
            )  # fmt: skip
        stop.click(None, js="() => { vsrpp.sure(true) }")
        keep.click(None, js="() => { vsrpp.sure(false) }")
        html(_body(t), elem_id="body")
        page.load(_default_run(watches), None, run_id, **QUIET)
    return page


def _default_run(watches: RunWatches) -> Callable[[gr.Request], str]:
    def default_run(request: gr.Request) -> str:
        return run_of(request, watches)

    return default_run


def _command(kind: str, watches: RunWatches, t: Texts) -> Callable[[str, gr.Request], str]:
    def command(run_id: str, request: gr.Request) -> str:
        return ask(watches, run_id, kind, request, t)

    return command


def _body(t: Texts) -> str:
    tools = (
        f'<div class="controls"><label>{esc(t("smoothing"))} <input type="range" min="0" max="0.98" step="0.02" '
        f'value="0.6" data-view="smooth"></label>'
        f'<label><input type="checkbox" data-view="log"> {esc(t("log_scale"))}</label>'
        f'<button type="button" class="quiet" data-zoom-reset hidden>{esc(t("zoom_reset"))}</button>'
        f'<span class="hint">{esc(t("zoom_hint"))}</span></div>'
    )
    filters = "".join(
        f'<label><input type="radio" name="filter" value="{name}" '
        f'data-view="filter"{" checked" if name == "all" else ""}>'
        f"{esc(_capital(t(f'group.{name}')))}</label>"
        for name in FILTERS
    )
    chooser = f'<fieldset class="filters"><legend class="sr">{esc(t("filter"))}</legend>{filters}</fieldset>'
    return (
        f'<main class="vp-grid">{slot("cards", css="vp-wide")}'
        f"{slot('losses', title=esc(t('loss_curves')), css='vp-wide', extra=tools)}"
        f"<div class='vp-col'>{slot('bars')}{slot('pictures', title=esc(t('pictures')))}</div>"
        f"<div class='vp-col'>{slot('peak', title=esc(t('peak_activity')))}{slot('streams', title=esc(t('streams')))}"
        f"{slot('history', title=esc(t('validation_history')))}</div>"
        f"{slot('timeline', title=esc(t('timeline')), css='vp-wide', extra=chooser)}"
        f'<p class="notice bad" id="offline" role="alert" hidden>{esc(t("offline"))}</p></main>'
    )


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]
