"""Gradio's theme with fonts of the machine itself (no font is fetched), and what goes into every page's head."""

from __future__ import annotations

from typing import Any

import gradio as gr

THEME = gr.themes.Base(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif"],
    font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"],
)
HEAD = (
    '<meta name="color-scheme" content="light dark">'
    '<link rel="stylesheet" href="/panel/assets/panel.css">'
    '<script>document.documentElement.lang="%lang%"</script>'
    '<script src="/panel/assets/theme.js"></script>'
    '<script src="/panel/assets/morph.js"></script>'
    '<script src="/panel/assets/chart.js"></script>'
    '<script src="/panel/assets/panel.js"></script>'
    '<script src="/panel/assets/actions.js"></script>'
)


def slot(name: str, *, tag: str = "section", title: str = "", css: str = "", extra: str = "", after: str = "") -> str:
    """A place that the live fragments fill, with what stands before and after it."""
    head = f"<h2>{title}</h2>" if title else ""
    return f'<{tag} class="vp-block {css}" id="{name}">{head}{extra}<div data-live="{name}"></div>{after}</{tag}>'


def html(value: str, **options: Any) -> gr.HTML:
    """A piece of the panel's own HTML, without Gradio's styles for prose."""
    return gr.HTML(value, apply_default_css=False, **options)
