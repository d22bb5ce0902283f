"""Lines of the overview that show `control.numbers`: convergence, score, where the time goes, machine time and cost."""

from __future__ import annotations

from vsrpp.control.numbers import SCORE_PARTS
from vsrpp.formats import moment, number, percent
from vsrpp.tui.lines import Line, cut, fit, line, pad
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.run_view import RunSnapshot

_STYLES = {"falling": "good", "rising": "bad"}


def convergence(snapshot: RunSnapshot, t: TerminalTexts, room: int) -> Line:
    """The word, and where there is room the slope with its standard error."""
    trend = snapshot.numbers.convergence
    if not trend:
        return []
    word = t(f"convergence.{trend.state}")
    words = line((cut(word, room), f"{_STYLES.get(trend.state, '')} bold".strip()))
    slope, error = trend.slope_percent_per_1000_steps, trend.slope_error_percent
    if slope is None or error is None:
        return words
    text = f"  {t('slope', n=f'{slope:+.1f}', error=f'{error:.1f}')}"
    return words + line((text, "dim")) if len(word) + len(text) <= room else words


def score(snapshot: RunSnapshot, t: TerminalTexts, width: int) -> list[Line]:
    """The training score of 100 with its parts; nothing before a validation."""
    scores = snapshot.numbers.score
    if not scores:
        return []
    parts = " ".join(f"{t(f'score.{part}')} {number(getattr(scores, part), 0)}" for part in SCORE_PARTS)
    gap = "  " if len(parts) + 11 <= width else " "
    return [fit(line(pad(t("score"), 7), (f"{scores.total:.0f}", "bold"), (f"{gap}{parts}", "dim")), width)]


def step_time(snapshot: RunSnapshot, t: TerminalTexts, width: int) -> list[Line]:
    """A step's seconds, and the parts of the time since the last row, the greatest first."""
    times = snapshot.numbers.time
    if not times or times.compute_s is None:
        return []
    seconds = {part: part_s or 0.0 for part, part_s in times.parts().items()}
    total_s = sum(seconds.values()) or 1.0
    shares = sorted(((value / total_s, part) for part, value in seconds.items()), reverse=True)
    parts = [f"  {t(f'time.{part}')} {percent(share)}" for share, part in shares if share >= 0.005]
    step_text = moment(times.step_s)
    while parts and 10 + len(step_text) + sum(map(len, parts)) > width:
        parts.pop()
    return [fit(line(pad(t("step_time"), 9), (step_text, "bold"), ("".join(parts), "dim")), width)]


def spent(snapshot: RunSnapshot, t: TerminalTexts, width: int) -> list[Line]:
    """Machine time and cost, of a run that has a limit or a price."""
    hours, cost = snapshot.numbers.hours, snapshot.numbers.cost
    if not hours or (cost is None and hours.max is None):
        return []
    used = f"{hours.spent:.3g}"
    words = [t("hours", n=used) if hours.max is None else t("hours_of", n=used, max=f"{hours.max:g}")]
    if cost is not None:
        words.append(t("cost", n=number(cost.spent, 2)))
        words += [t("cost_ahead", n=number(cost.to_come, 2))] if cost.to_come is not None else []
    return [fit(line((", ".join(words), "")), width)]
