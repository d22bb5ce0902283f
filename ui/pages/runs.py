"""/runs: the runs of this host and of the tracking server, what can be done with each, and what was started from here."""

from __future__ import annotations

import gradio as gr

from ..format import esc
from ..messages import Texts
from ..snapshot import RunWatches
from ..views.header import navigation
from ..views.jobs import dialog
from .theme import html, slot


def runs_page(watches: RunWatches, t: Texts, language: str) -> gr.Blocks:
    with gr.Blocks(title="VSR++ · " + t("runs"), analytics_enabled=False, fill_width=True) as page:
        html(navigation("runs", None, t), elem_id="nav")
        html(slot("header", tag="header", extra=f'<p class="boot hint">{esc(t("loading"))}</p>'), elem_id="content")
        compare = '<div data-live="compare"></div>'
        html(
            f'<main class="vp-grid">{slot("jobs", title=esc(t("jobs")), css="vp-wide")}'
            f"{slot('all-runs', title=esc(t('all_runs')), css='vp-wide', after=compare)}"
            f"{slot('checkpoints', title=esc(t('checkpoints')), css='vp-wide')}"
            f"{slot('commands', title=esc(t('commands_and_actions')), css='vp-half')}"
            f"{slot('tracked', title=esc(t('tracked_runs')), css='vp-half')}"
            f'<p class="notice bad" id="offline" role="alert" hidden>{esc(t("offline"))}</p></main>'
            f'{dialog(t)}<div id="told" role="status"></div>',
            elem_id="body",
        )
    return page
