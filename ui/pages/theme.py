"""Gradio's theme with fonts of the machine itself (no font is fetched), and the panel's own HTML on Gradio's pages."""

from __future__ import annotations

from typing import Any

import gradio as gr

from vsrpp.control import ROLE_WORDS

from ..guard import PAGES
from ..markup import Piece, piece, render
from ..messages import Texts

THEME = gr.themes.Base(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif"],
    font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"],
)


def head(t: Texts, language: str) -> str:
    """What goes into the head of every page: the panel's style and scripts."""
    return render(piece("pages/head", language=language), t)


def navigation(page: str, t: Texts) -> gr.HTML:
    """Brand, links to the three pages, who is signed in, the switch of light and dark."""
    return html(piece("pages/navigation", page=page, pages=PAGES, roles=ROLE_WORDS), t, elem_id="nav")


def html(shown: Piece | None, t: Texts, **options: Any) -> gr.HTML:
    """A piece of the panel's own HTML, without Gradio's styles for prose."""
    return gr.HTML(render(shown, t), apply_default_css=False, **options)
