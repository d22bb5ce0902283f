"""/runs: the runs of this host and of the tracking server, checkpoints, and the commands to go on with."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from ..format import esc
from ..snapshot import Watches
from ..texts import Texts
from ..views.header import navigation
from .asking import QUIET, ask
from .theme import html, slot


def runs_page(watches: Watches, t: Texts, language: str) -> gr.Blocks:
    with gr.Blocks(title="VSR++ · " + t("runs"), analytics_enabled=False, fill_width=True) as page:
        html(navigation("runs", None, t), elem_id="nav")
        html(slot("header", tag="header", extra=f'<p class="boot hint">{esc(t("loading"))}</p>'), elem_id="content")
        html(
            f'<main class="vp-grid">{slot("all-runs", title=esc(t("all_runs")), css="vp-wide")}'
            f"{slot('checkpoints', title=esc(t('checkpoints')), css='vp-wide')}"
            f"{slot('commands', title=esc(t('actions')), css='vp-half')}"
            f"{slot('tracked', title=esc(t('tracked_runs')), css='vp-half')}"
            f'<p class="notice bad" id="offline" role="alert" hidden>{esc(t("offline"))}</p></main>',
            elem_id="body",
        )
        run_id, step = gr.Textbox(visible=False), gr.Number(visible=False, precision=0)
        with gr.Row(elem_id="sure"):
            html('<p class="notice warn" role="alert" id="sure-text"></p>')
            yes = gr.Button(t("rollback_do"), elem_id="rollback-yes", variant="stop", size="sm", min_width=90)
            no = gr.Button(t("no"), elem_id="rollback-no", size="sm", min_width=90)
        answer = html("", elem_id="answer")
        no.click(None, js="() => { vsrpp.sure(false) }")
        yes.click(
            _roll_back(watches, t),
            [run_id, step],
            answer,
            js="() => { vsrpp.sure(false); return vsrpp.rollback() }",
            **QUIET,
        )
    return page


def _roll_back(watches: Watches, t: Texts) -> Callable[[str, float, gr.Request], str]:
    def roll_back(run_id: str, step: float, request: gr.Request) -> str:
        return ask(watches, run_id, "rollback", request, t, {"step": int(step)})

    return roll_back
