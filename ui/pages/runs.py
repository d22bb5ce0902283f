"""/runs: the runs of this host and of the tracking server, what can be done with each, and what was started from here."""

from __future__ import annotations

import gradio as gr

from ..markup import piece
from ..messages import Texts
from ..snapshot import RunWatches
from .theme import html, navigation


def runs_page(watches: RunWatches, t: Texts, language: str) -> gr.Blocks:
    with gr.Blocks(title="VSR++ · " + t("runs"), analytics_enabled=False, fill_width=True) as page:
        navigation("runs", t)
        html(piece("pages/top"), t, elem_id="content")
        html(piece("pages/runs"), t, elem_id="body")
    return page
