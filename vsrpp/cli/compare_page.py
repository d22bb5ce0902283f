"""A comparison as an image, and as a self-contained page with the tables and the same image as SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape as html_escape
from typing import Any

from vsrpp.cli.compare_tables import TITLES, names, sections
from vsrpp.control.compare import LOSS, Record
from vsrpp.safe_text import safe

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, distinguishable with colour blindness. With more runs it repeats, with dashed lines."""
POINTS = 2000
"""Longer curves are thinned to every n-th point."""
_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;color:#1b1b1f}
table{border-collapse:collapse;margin:.4em 0 1.6em}td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left;
vertical-align:top}th{background:#f3f3f5}h2{margin:1.2em 0 .2em;font-size:1.15em}svg{max-width:100%;height:auto}"""


def escape(text: str) -> str:
    return html_escape(safe(text))


def png(comparison: dict[str, Any], records: Sequence[Record]) -> bytes:
    return _drawn(comparison, records, "png")


def html(comparison: dict[str, Any], records: Sequence[Record]) -> str:
    """One page without scripts or external links."""
    labels = names(comparison)
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(' · '.join(labels))}</title>"]
    parts.append(f"<style>{_STYLE}</style><h1>{escape(' · '.join(labels))}</h1>")
    picture = _drawn(comparison, records, "svg").decode()
    parts.append(re.sub(r"^.*?(?=<svg)", "", picture, count=1, flags=re.DOTALL))
    for title, (head, *rows) in sections(comparison):
        parts.append(f"<h2>{escape(title)}</h2>")
        if not rows:
            parts.append("<p>no difference</p>")
            continue
        parts.append("<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>")
        parts += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
        parts.append("</table>")
    return "\n".join(parts) + "</html>\n"


def _drawn(comparison: dict[str, Any], records: Sequence[Record], form: str) -> bytes:
    """Loss, PSNR-Y and SSIM-Y over the steps; a thin line marks each intervention."""
    import matplotlib
    from matplotlib.figure import Figure

    labels = names(comparison)
    with matplotlib.rc_context({"svg.hashsalt": "vsrpp", "font.size": 9}):
        figure = Figure(figsize=(11, 7), layout="constrained")
        upper, *lower = figure.subplot_mosaic("AA;BC").values()
        for axes, (key, title) in zip((upper, *lower), TITLES.items(), strict=True):
            for number, record in enumerate(records):
                points = record.curves.get(key, ())
                points = points[:: max(1, len(points) // POINTS)]
                style: dict[str, Any] = {
                    "color": COLOURS[number % len(COLOURS)],
                    "linestyle": "-" if number < len(COLOURS) else "--",
                }
                axes.plot(
                    [step for step, _ in points], [value for _, value in points], label=labels[number],
                    marker="" if key == LOSS else "o", markersize=3, linewidth=1.2, **style,
                )  # fmt: skip
                for row in comparison["interventions"]:
                    if row["runs"][number]:
                        axes.axvline(row["step"], linewidth=0.7, alpha=0.5, **style)
            if key == LOSS and any(value > 0 for record in records for _, value in record.curves.get(key, ())):
                axes.set_yscale("log")
            axes.set_title(title)
            axes.set_xlabel("step")
            axes.grid(alpha=0.25)
        upper.legend(loc="upper right")
        written = io.BytesIO()
        figure.savefig(written, format=form, dpi=110, metadata={"Date": None} if form == "svg" else None)
    return written.getvalue()
