"""The blocks the overview is put together from; each is a few lines of a given width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vsrpp.control.narrate import Narration, narrate
from vsrpp.formats import NONE, finite, loss, mebibytes, number, percent, rate, time_of_day, whole
from vsrpp.store import Event
from vsrpp.tui.drawing import (
    activity_bar,
    activity_level,
    activity_marker,
    activity_scale,
    fill,
    limit_style,
    peak_of,
    shares,
    stacked,
)
from vsrpp.tui.lines import Line, cut, fit, length, line, pad, rpad, rule
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages.delivery import sign
from vsrpp.tui.run_view import RunSnapshot

TOTAL = "total"
LOSSES_ROWS = 6
"""The total and the terms, in a low terminal; in a high one, a quarter of its rows."""
LEGEND_ROWS = 3
WIDE_LOSSES = 36
"""From this width on the losses have their names in full and their part of the total."""
STREAM_SIGNS = {"backward": "← ", "forward": "→ ", "fusion": "🔗"}


@dataclass(frozen=True, slots=True)
class LossRow:
    """The total, or a term of the loss."""

    name: str
    """`total`, `l1`: what `loss/l1` is called after."""
    label: str
    style: str


def loss_rows(snapshot: RunSnapshot, t: TerminalTexts, height: int) -> list[LossRow]:
    """Those with room in a body of that height: the total, and the terms; first to go are those with weight 0."""
    terms, most = list(snapshot.terms), max(LOSSES_ROWS, height // 4) - 1
    if len(terms) > most:
        weights = snapshot.weights()
        kept = sorted(terms, key=lambda term: not weights[term.name])[:most]
        terms = [term for term in terms if term in kept]
    total = LossRow(TOTAL, t("term.total"), TOTAL)
    return [total, *(LossRow(term.name, t.term(term), term.colour) for term in terms)]


def losses(snapshot: RunSnapshot, t: TerminalTexts, width: int, rows: Sequence[LossRow]) -> list[Line]:
    """Total and terms: value, weight in effect, part of the total."""
    wide = width >= WIDE_LOSSES
    lines: list[Line] = []
    weights = snapshot.weights()
    for row in rows:
        term = row.name
        value, weight = snapshot.metrics.get(f"loss/{term}"), weights.get(term)
        off = switched_off(snapshot, term)
        name = pad(row.label, 11) if wide else pad(cut(row.label, 5), 5)
        broken = value is not None and not math.isfinite(value)
        text = rpad("✖ " + str(value) if broken else loss(value), 9 if wide else 8)
        factor = "" if term == TOTAL else f"×{weight:.2f}" if weight is not None else ""
        tail = f" {factor:5} {_part(snapshot, term):>4}" if wide else f" {factor:5}"
        lines.append(
            line(
                (name, "dim" if off else row.style),
                (text, "bad bold" if broken else "dim" if off else "bold"),
                (tail, "dim"),
            )
        )
    return lines


def switched_off(snapshot: RunSnapshot, term: str) -> bool:
    return term != TOTAL and not snapshot.weights().get(term)


def _part(snapshot: RunSnapshot, term: str) -> str:
    part = snapshot.metric(f"share/{term}")
    return f"{part * 100:.0f} %" if part is not None else ""


def rate_of_limit(snapshot: RunSnapshot, t: TerminalTexts, room: int) -> Line:
    top = f" {t('of_limit', n=rate(finite(snapshot.values.get('max_lr'))))}"
    return line((rate(snapshot.metric("lr")), "bold"), (top if room >= 8 + len(top) else "", "dim"))


def momentum(snapshot: RunSnapshot) -> Line:
    return [(number(snapshot.metric("optimizer/momentum")), "bold")]


def gradient(snapshot: RunSnapshot, t: TerminalTexts) -> Line:
    norm, clip = snapshot.metric("grad_norm"), snapshot.metric("grad_clip") or finite(snapshot.values.get("grad_clip"))
    if norm is None:
        raw = snapshot.metrics.get("grad_norm")
        return [(NONE if raw is None else f"✖ {raw}", "" if raw is None else "bad bold")]
    style = limit_style(norm / clip if clip else None)
    return [(number(norm), style or "bold"), (f" {t('of_limit', n=number(clip, 2))}{sign(style)}", style or "dim")]


def plateau(snapshot: RunSnapshot) -> tuple[Line, float | None, str]:
    """The counter against the patience; its part of it, and the style of that."""
    counter, patience = snapshot.metric("plateau/counter"), finite(snapshot.values.get("plateau_patience"))
    if counter is None or not patience:
        return [(NONE, "")], None, ""
    style = limit_style(counter / patience)
    return [(f"{counter:.0f}/{patience:.0f}{sign(style)}", style or "bold")], counter / patience, style or "info"


def quality(snapshot: RunSnapshot, t: TerminalTexts, width: int) -> list[Line]:
    """PSNR-Y and SSIM-Y of the last validation beside bicubic; the best checkpoint."""
    every = int(snapshot.values.get("validate_every") or 0)
    due = min(snapshot.max_steps, (snapshot.step // every + 1) * every) if every and snapshot.live else 0
    right = t("next_validation", step=whole(due)) if due and width >= 34 else ""
    head = rule(t("quality"), width, (right, "dim") if right else "")
    if not snapshot.validations:
        return [head, [(t("no_validation" if snapshot.live else "no_validation.ended"), "dim")], []]
    last = snapshot.validations[-1]
    gain = "" if last.gain is None else t("over_bicubic", n=f"{last.gain:+.2f}")
    psnr = line(
        pad("PSNR-Y", 7), (f"{number(last.psnr_y, 2)} dB ", "bold"), (gain, "good" if (last.gain or 0) > 0 else "warn")
    )
    ssim = line(
        pad("SSIM-Y", 7),
        (number(last.ssim_y, 4), "bold"),
        (f"  {t('bicubic')} {number(last.bicubic_ssim_y, 4)}", "dim"),
    )
    if snapshot.best:
        best = (f"  ★ {t('best')} {number(snapshot.best['psnr_y'], 2)} @ {whole(snapshot.best['step'])}", "info")
        ssim = line(pad("SSIM-Y", 7), (number(last.ssim_y, 4), "bold"), best) if width < 60 else ssim
        psnr = psnr if width < 60 else line(*psnr, best)
    return [head, psnr, ssim]


def machine(snapshot: RunSnapshot, t: TerminalTexts, width: int) -> list[Line]:
    """What the process and the GPU use, as sampled by the run."""
    share, total = snapshot.metric("system/gpu_memory_mib"), snapshot.metric("system/gpu_memory_total_mib")
    wait, step = snapshot.metric("speed/data_wait_s"), snapshot.metric("speed/step_s")
    memory = snapshot.metric("system/memory_used_percent")
    used, busy = snapshot.metric("system/process_memory_mib"), snapshot.metric("system/process_cpu_percent")
    process = f"{mebibytes(used)}, {number(busy, 0)} % CPU"
    first = line(pad(t("machine.process"), 9), (process, "bold"))
    if share is not None and total:
        limit_text = t("of_limit", n=mebibytes(total))
        text = f"{number(snapshot.metric('system/gpu_percent'), 0)} %, {mebibytes(share)} {limit_text}"
        style = limit_style(share / total, near=0.9)
        second = line(pad(t("machine.gpu"), 9), (text + sign(style), style or "bold"))
    elif memory is not None:
        style = limit_style(memory / 100, near=0.9)
        second = line(pad(t("machine.memory"), 9), (f"{memory:.0f} %{sign(style)}", style or "bold"))
        if wait is not None and step:
            part = wait / step
            second += line(f"  {t('machine.wait')} ", (percent(part), "warn" if part > 0.3 else "bold"))
    else:
        second = []
    return [rule(t("machine"), width), first, second]


def peak(snapshot: RunSnapshot, t: TerminalTexts, width: int, *, rows: int = 5) -> list[Line]:
    """The layer that works hardest, on the scale of 0 to 2.0+; in five rows, or three."""
    highest = peak_of(snapshot.activity())
    if highest is None:
        return [[(t("peak"), "title")], [(t("no_activity"), "dim")]]
    layer, value = highest
    level, style = activity_level(value)
    number_ = number(value) if math.isfinite(value) else str(value)
    figure = line((number_, f"{style} bold"), " ", (f"({t(f'level.{level}')})", style))
    name = line(f"{t('layer')}: ", (layer, "bold"), f" | {t('value')}: ", *figure)
    if length(name) > width:
        name = line((layer, "bold"), " | ", *figure)
    if rows >= 5:
        marker = activity_marker(value, width)
        return [
            [(cut(t("peak"), width), "title")],
            name,
            activity_bar(value, width),
            marker,
            [(activity_scale(width), "dim")],
        ]
    words = (f"{layer} {number_} ({t(f'level.{level}')})", style)
    short = line((t("peak"), "title"), "  ", words)
    short = short if length(short) <= width else line("🔥 ", words)
    return [short, activity_bar(value, width), [(activity_scale(width), "dim")]]


def streams(snapshot: RunSnapshot, t: TerminalTexts, width: int) -> list[Line]:
    """Mean activity of the backward, forward and fusion layers."""
    lines: list[Line] = [[(cut(t("streams"), width), "title")]]
    label = max(len(t(name)) for name in STREAM_SIGNS) + 1
    for name, values in snapshot.streams().items():
        known = [v for v in values if math.isfinite(v)]
        mean = math.nan if len(known) < len(values) else math.fsum(known) / len(known) if known else None
        layers = t("n_layers", n=len(values))
        text = NONE if mean is None else number(mean) if math.isfinite(mean) else "✖ nan"
        tail = f" {text:>5} {layers}"
        if width - label - len(tail) < 8:
            tail = f" {text:>5} ({len(values)})"
        style = activity_level(mean)[1] if mean is not None else "dim"
        cells = max(4, min(32, width - label - len(tail) - 4))
        lines.append(
            line(STREAM_SIGNS.get(name, "  "), " ", pad(f"{t(name) if name in STREAM_SIGNS else name}:", label), " ")
            + activity_bar(mean, cells)
            + line((tail[:6], style), (tail[6:], "dim"))
        )
    return lines


def bars(snapshot: RunSnapshot, t: TerminalTexts, width: int) -> list[Line]:
    """Weights and loss values as stacked bars, with a legend of both."""
    weights, values = snapshot.weights(), snapshot.losses()
    colours = {term.name: term.colour for term in snapshot.terms}
    label = max(len(t("weights_bar")), len(t("values_bar"))) + 1
    rows = [
        line((pad(t("weights_bar"), label), ""), *stacked(weights, colours, width - label)),
        line((pad(t("values_bar"), label), ""), *stacked(values, colours, width - label)),
    ]
    parts = shares(weights)
    legend: list[Line] = [line(" " * label)]
    for place, term in enumerate(snapshot.terms):
        part, value = parts[term.name], values[term.name]
        if not part and value is None:
            continue
        text = f"{t.term(term)} {part * 100:.0f} %{f' {loss(value)}' if width >= 72 else ''}"
        entry = line((f"{fill(place)} ", term.colour), (text, "" if part else "dim"), "   ")
        if len(legend[-1]) > 1 and length(legend[-1]) + length(entry) - 3 > width and len(legend) < LEGEND_ROWS:
            legend.append(line(" " * label))
        legend[-1] += entry
    return [*rows, *(fit(row, width) for row in legend)]


def events(snapshot: RunSnapshot, t: TerminalTexts, width: int, rows: int) -> list[Line]:
    """The newest events, newest first."""
    if rows < 2:
        return []
    newest = list(snapshot.events)[:-rows:-1]
    return [rule(t("events"), width), *(event_line(event, t, width) for event in newest)]


def event_line(event: Event, t: TerminalTexts, width: int) -> Line:
    """When, at which step, what."""
    place = f"{event.step}" + (f"/{event.branch}" if event.branch else "")
    told = narrate(event)
    head = f"{time_of_day(event.time)} {place:>7} "
    return fit(line((head, "dim"), (f"{told.headline.text(t)} ", told.tone or "bold"), event_words(told, t)), width)


def event_words(told: Narration, t: TerminalTexts) -> str:
    """What belongs to an event, by whom and why."""
    what = " · ".join(filter(None, [told.detail(t), told.by(t)]))
    why = f"“{told.why(t)}”" if told.who and told.reason else told.why(t)
    return f"{what} {why}".strip()
