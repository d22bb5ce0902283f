"""The cards: one figure each, with the number it is measured against."""

from __future__ import annotations

from vsrpp.control import RunView
from vsrpp.control.numbers import SCORE_PARTS
from vsrpp.control.refusals import remark_text
from vsrpp.formats import NONE, count, duration, finite, moment, number, percent, signed, whole

from ..markup import Piece, piece
from ..messages import Texts
from .card import Card, card
from .delivery import delivery


def cards(snapshot: RunView, t: Texts) -> Piece:
    """All cards of the monitoring page."""
    parts = [
        *_quality(snapshot, t),
        card("plateau", t("plateau_counter"), count(snapshot.metric("plateau/counter")), _patience(snapshot, t),
              meter=_share(snapshot.metric("plateau/counter"), snapshot.config.live.get("plateau_patience"))),
        _gradient(snapshot, t),
        card("momentum", t("momentum"), number(snapshot.metric("optimizer/momentum"), 3), ""),
        _convergence(snapshot, t),
        _score(snapshot, t),
        _time(snapshot, t),
        *_cost(snapshot, t),
        delivery(snapshot, t),
        _remote_copy(snapshot, t),
    ]  # fmt: skip
    return piece("cards", cards=parts)


def _quality(snapshot: RunView, t: Texts) -> list[Card]:
    quality, bicubic = finite(snapshot.metric("val/quality")), finite(snapshot.metric("val/bicubic_quality"))
    psnr, psnr0 = finite(snapshot.metric("val/psnr_y")), finite(snapshot.metric("val/bicubic_psnr_y"))
    ssim, ssim0 = finite(snapshot.metric("val/ssim_y")), finite(snapshot.metric("val/bicubic_ssim_y"))
    gain = psnr - psnr0 if psnr is not None and psnr0 is not None else None
    best = snapshot.best
    best_psnr = finite(best["psnr_y"]) if best else None
    return [
        card("quality", t("quality"), percent(quality, 1), f"{t('of_bicubic')} {percent(bicubic, 1)}", meter=quality),
        card("gain", t("improvement"), signed(gain), t("over_bicubic"), unit=_unit(gain),
              tone="" if gain is None else "good" if gain > 0 else "bad"),
        card("psnr", "PSNR-Y", _fixed(psnr), unit=_unit(psnr), below=f"{t('of_bicubic')} {_decibels(psnr0)}"),
        card("ssim", "SSIM-Y", number(ssim, 4), f"{t('of_bicubic')} {number(ssim0, 4)}"),
        card("best", t("best"), _fixed(best_psnr), unit=_unit(best_psnr),
              below=t("at_step", step=whole(best["step"])) if best else t("none_yet")),
    ]  # fmt: skip


def _remote_copy(snapshot: RunView, t: Texts) -> Card:
    """The newest state that would outlive this machine, and how much training it lacks."""
    remote_copy = snapshot.remote_copy
    if not remote_copy:
        why = snapshot.remote_copy_why
        return card("off_host", t("off_host"), t("off_host.none"), remark_text(why, t) if why else "")
    age = t("off_host.age", age=duration(remote_copy["age_s"]))
    return card("off_host", t("off_host"), t("at_step", step=whole(remote_copy["step"])), age)


def _gradient(snapshot: RunView, t: Texts) -> Card:
    norm = snapshot.metrics.get("grad_norm")
    clip = finite(snapshot.metric("grad_clip")) or finite(snapshot.config.live.get("grad_clip"))
    wild = norm is not None and finite(norm) is None
    share = 1.0 if wild else _share(norm, clip)
    shown_norm = str(norm) if wild else number(norm, 3)
    tone = "bad" if wild else "warn" if share is not None and share >= 1 else ""
    return card("grad", t("grad_norm"), shown_norm, t("clip_at", n=number(clip, 2)), meter=share, tone=tone)


def _score(snapshot: RunView, t: Texts) -> Card:
    score = snapshot.numbers.score
    if not score:
        return card("score", t("score"), "–", t("score_hint"))
    parts = ", ".join(f"{t(f'score.{part}')} {number(getattr(score, part), 0)}" for part in SCORE_PARTS)
    return card("score", t("score"), f"{score.total:.0f}", parts, unit="/ 100", meter=score.total / 100)


def _convergence(snapshot: RunView, t: Texts) -> Card:
    """The word, and the slope with its standard error."""
    trend = snapshot.numbers.convergence
    if not trend:
        return card("convergence", t("convergence"), "–", t("convergence_hint"))
    slope, error = trend.slope_percent_per_1000_steps, trend.slope_error_percent
    below = t("convergence_hint") if slope is None else t("slope", n=f"{slope:+.1f}", error=number(error, 1))
    tone = {"falling": "good", "rising": "bad"}.get(trend.state, "")
    return card("convergence", t("convergence"), t(f"convergence.{trend.state}"), below, tone=tone)


def _time(snapshot: RunView, t: Texts) -> Card:
    """What a step takes, what it takes it for, and how busy the device is."""
    spent, use = snapshot.numbers.time, snapshot.numbers.device_use
    if not spent:
        return card("time", t("step_time"), "–", "")
    parts = [f"{t(f'time.{part}')} {moment(part_s)}" for part, part_s in spent.parts().items() if part_s]
    busy = [f"{t('use.' + use.kind)} {percent(use.percent / 100)}"] if use else []
    return card("time", t("step_time"), moment(spent.step_s), ", ".join([*parts, *busy]))


def _cost(snapshot: RunView, t: Texts) -> list[Card]:
    """Machine time and what it costs, where the run has a price or a limit."""
    hours, cost = snapshot.numbers.hours, snapshot.numbers.cost
    if not hours or (cost is None and hours.max is None):
        return []
    most = t("hours_of", n=f"{hours.spent:.3g}", max=f"{hours.max:g}") if hours.max is not None else t(
        "hours", n=f"{hours.spent:.3g}")  # fmt: skip
    share = _share(hours.spent, hours.max)
    if cost is None:
        return [card("cost", t("machine_time"), most, "", meter=share)]
    ahead = "" if cost.to_come is None else f", {t('cost_ahead', n=number(cost.to_come, 2))}"
    return [card("cost", t("cost"), number(cost.spent, 2), f"{most}{ahead}", meter=share)]


def _patience(snapshot: RunView, t: Texts) -> str:
    return t("of_patience", n=count(snapshot.config.live.get("plateau_patience")))


def _share(value: float | None, of: float | None) -> float | None:
    known, whole = finite(value), finite(of)
    return known / whole if known is not None and whole else None


def _fixed(value: float | None) -> str:
    """Two decimals, however great."""
    return NONE if value is None else f"{value:.2f}"


def _unit(value: float | None) -> str:
    return "" if value is None else "dB"


def _decibels(value: float | None) -> str:
    return NONE if value is None else f"{number(value, 2)}\u00a0dB"
