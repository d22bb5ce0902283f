"""The cards: one figure each, with the number it is measured against."""

from __future__ import annotations

from vsrpp.control.numbers import SCORE_PARTS, TIME_PARTS

from ..format import count, finite, number, percent, span
from ..messages import Texts
from ..run_view import PanelSnapshot
from .card import card
from .delivery import delivery


def cards(snapshot: PanelSnapshot, t: Texts) -> str:
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
    return f'<div class="cards">{"".join(parts)}</div>'


def _quality(snapshot: PanelSnapshot, t: Texts) -> list[str]:
    quality, bicubic = finite(snapshot.metric("val/quality")), finite(snapshot.metric("val/bicubic_quality"))
    psnr, psnr0 = finite(snapshot.metric("val/psnr_y")), finite(snapshot.metric("val/bicubic_psnr_y"))
    ssim, ssim0 = finite(snapshot.metric("val/ssim_y")), finite(snapshot.metric("val/bicubic_ssim_y"))
    gain = psnr - psnr0 if psnr is not None and psnr0 is not None else None
    best = snapshot.status.get("best")
    return [
        card("quality", t("quality"), percent(quality), f"{t('of_bicubic')} {percent(bicubic)}", meter=quality),
        card("gain", t("improvement"), _big_with_unit(gain, 2, "dB", sign=True), t("over_bicubic"), raw=True,
              tone="" if gain is None else "good" if gain > 0 else "bad"),
        card("psnr", "PSNR-Y", _big_with_unit(psnr, 2, "dB"), raw=True,
              below=f"{t('of_bicubic')} {_with_unit(psnr0, 2, 'dB')}"),
        card("ssim", "SSIM-Y", number(ssim, 4), f"{t('of_bicubic')} {number(ssim0, 4)}"),
        card("best", t("best"), _big_with_unit(finite(best["psnr_y"]) if best else None, 2, "dB"), raw=True, below=
              t("at_step", step=count(best["step"])) if best else t("none_yet")),
    ]  # fmt: skip


def _remote_copy(snapshot: PanelSnapshot, t: Texts) -> str:
    """The newest state that would outlive this machine, and how much training it lacks."""
    remote_copy = snapshot.status.get("off_host")
    if not remote_copy:
        return card("off_host", t("off_host"), t("off_host.none"), str(snapshot.status.get("off_host_why") or ""))
    age = t("off_host.age", age=span(remote_copy["age_s"]))
    return card("off_host", t("off_host"), t("at_step", step=count(remote_copy["step"])), age)


def _gradient(snapshot: PanelSnapshot, t: Texts) -> str:
    norm = snapshot.metric("grad_norm")
    clip = finite(snapshot.metric("grad_clip")) or finite(snapshot.config.live.get("grad_clip"))
    wild = norm is not None and finite(norm) is None
    share = 1.0 if wild else _share(norm, clip)
    shown_norm = str(norm) if wild else number(norm, 3)
    tone = "bad" if wild else "warn" if share is not None and share >= 1 else ""
    return card("grad", t("grad_norm"), shown_norm, t("clip_at", n=number(clip, 2)), meter=share, tone=tone)


def _score(snapshot: PanelSnapshot, t: Texts) -> str:
    score = snapshot.status.get("score")
    if not score:
        return card("score", t("score"), "–", t("score_hint"))
    parts = ", ".join(f"{t(f'score.{part}')} {number(score[part], 0)}" for part in SCORE_PARTS)
    text = f"{score['total']:.0f} <small>/ 100</small>"
    return card("score", t("score"), text, parts, meter=score["total"] / 100, raw=True)


def _convergence(snapshot: PanelSnapshot, t: Texts) -> str:
    """The word, and the slope with its standard error."""
    trend = snapshot.status.get("convergence")
    if not trend:
        return card("convergence", t("convergence"), "–", t("convergence_hint"))
    slope, error = trend["slope_percent_per_1000_steps"], trend["slope_error_percent"]
    below = t("convergence_hint") if slope is None else t("slope", n=f"{slope:+.1f}", error=number(error, 1))
    tone = {"falling": "good", "rising": "bad"}.get(trend["state"], "")
    return card("convergence", t("convergence"), t(f"convergence.{trend['state']}"), below, tone=tone)


def _time(snapshot: PanelSnapshot, t: Texts) -> str:
    """What a step takes, what it takes it for, and how busy the device is."""
    spent, use = snapshot.status.get("time"), snapshot.status.get("device_use")
    if not spent:
        return card("time", t("step_time"), "–", "")
    parts = [f"{t(f'time.{part}')} {_ms(spent[f'{part}_s'])}" for part in TIME_PARTS if finite(spent[f"{part}_s"])]
    busy = [f"{t('use.' + use['kind'])} {use['percent']:.0f} %"] if use else []
    return card("time", t("step_time"), _ms(spent["step_s"]), ", ".join([*parts, *busy]))


def _ms(seconds: float | None) -> str:
    known = finite(seconds)
    return "–" if known is None else f"{known * 1e3:.3g} ms" if known < 1 else f"{known:.2f} s"


def _cost(snapshot: PanelSnapshot, t: Texts) -> list[str]:
    """Machine time and what it costs, where the run has a price or a limit."""
    hours, cost = snapshot.status.get("hours"), snapshot.status.get("cost")
    if not hours or (cost is None and hours["max"] is None):
        return []
    most = t("hours_of", n=f"{hours['spent']:.3g}", max=f"{hours['max']:g}") if hours["max"] is not None else t(
        "hours", n=f"{hours['spent']:.3g}")  # fmt: skip
    share = _share(hours["spent"], hours["max"])
    if cost is None:
        return [card("cost", t("machine_time"), most, "", meter=share)]
    ahead = "" if cost["to_come"] is None else f", {t('cost_ahead', n=number(cost['to_come'], 2))}"
    return [card("cost", t("cost"), number(cost["spent"], 2), f"{most}{ahead}", meter=share)]


def _patience(snapshot: PanelSnapshot, t: Texts) -> str:
    return t("of_patience", n=count(snapshot.config.live.get("plateau_patience")))


def _share(value: float | None, of: float | None) -> float | None:
    known, whole = finite(value), finite(of)
    return known / whole if known is not None and whole else None


def _with_unit(value: float | None, digits: int, unit: str) -> str:
    return "–" if value is None else f"{number(value, digits)}\u00a0{unit}"


def _big_with_unit(value: float | None, digits: int, unit: str, *, sign: bool = False) -> str:
    """Markup: the unit smaller than its figure."""
    if value is None:
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}<small> {unit}</small>"
