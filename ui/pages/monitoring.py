"""/monitoring: the live fragments, and the buttons that command the run."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from vsrpp.control.narrate import FILTERS

from ..markup import needs, piece, render
from ..messages import Texts
from ..snapshot import RunWatches
from ..views.notice import Notice
from .actions import QUIET, ask, run_of
from .theme import html, navigation

COMMANDS = ("pause", "resume", "validate", "checkpoint")


def monitoring_page(watches: RunWatches, t: Texts, language: str) -> gr.Blocks:
    with gr.Blocks(title="VSR++ · " + t("monitoring"), analytics_enabled=False, fill_width=True) as page:
        navigation("monitoring", t)
        html(piece("pages/top"), t, elem_id="content")
        run_id = gr.Textbox(visible=False)
        with gr.Row(elem_id="commands", elem_classes="live-only"):
            buttons = {kind: _button(kind, t) for kind in COMMANDS}
            stop = _button("stop", t)
        with gr.Row(elem_id="sure"):
            html(Notice("warn", t("stop_sure")).piece("alert"), t)
            buttons["stop"] = gr.Button(t("stop_yes"), elem_id="stop-yes", variant="stop", size="sm", min_width=90)
            keep = gr.Button(t("stop_no"), elem_id="stop-no", size="sm", min_width=90)
        answer = html(None, t, elem_id="answer")
        for kind, button in buttons.items():
            button.click(
                _command(kind, watches, t), run_id, answer, **QUIET,
                js="(run) => { vsrpp.sure(false); return vsrpp.run() || run }",
            )  # fmt: skip
        stop.click(None, js="() => { vsrpp.sure(true) }")
        keep.click(None, js="() => { vsrpp.sure(false) }")
        html(piece("pages/monitoring", filters=FILTERS), t, elem_id="body")
        page.load(_default_run(watches), None, run_id, **QUIET)
    return page


def _button(kind: str, t: Texts) -> gr.Button:
    needed = needs(f"command.{kind}")
    return gr.Button(t(kind), elem_id=f"do-{kind}", elem_classes=needed, size="sm", min_width=90)


def _default_run(watches: RunWatches) -> Callable[[gr.Request], str]:
    def default_run(request: gr.Request) -> str:
        return run_of(request, watches)

    return default_run


def _command(kind: str, watches: RunWatches, t: Texts) -> Callable[[str, gr.Request], str]:
    def command(run_id: str, request: gr.Request) -> str:
        return render(ask(watches, run_id, kind, request, t).piece(), t)

    return command
