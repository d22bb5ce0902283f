"""Validation: the history as a table, and the pictures with their dividers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vsrpp.control import RunView
from vsrpp.formats import count, finite, number, whole
from vsrpp.store import Event

from ..format import esc
from ..messages import Texts

SHOWN_ROWS = 12


def history(snapshot: RunView, t: Texts, *, steps_left: int | None = None) -> str:
    """The newest validations, newest first, with the gain over bicubic."""
    events = [event for event in snapshot.events if event.type == "validated"]
    if not events:
        every = int(snapshot.config.live.get("validate_every") or 1)
        due = (snapshot.step // every + 1) * every
        return f'<p class="hint">{esc(t("no_validation", step=whole(due)))}</p>'
    best = max((finite(e.data.get("psnr_y")) or float("-inf") for e in events), default=None)
    rows = "".join(_row(event, best, t) for event in events[: -SHOWN_ROWS - 1 : -1])
    heads = "".join(f"<th>{esc(t(key))}</th>" for key in ("step", "psnr", "gain", "ssim"))
    more = t("newest_of", shown=min(SHOWN_ROWS, len(events)), all=count(len(events)))
    return (
        f'<table class="numbers"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>'
        f'</table><p class="hint">{esc(more)}</p>'
    )


def _row(event: Event, best: float | None, t: Texts) -> str:
    data = event.data
    psnr, bicubic = finite(data.get("psnr_y")), finite(data.get("bicubic_psnr_y"))
    gain = None if psnr is None or bicubic is None else psnr - bicubic
    star = " ★" if psnr is not None and psnr == best else ""
    hand = f" <small>{esc(t('by_hand'))}</small>" if data.get("by_hand") else ""
    tone = "" if gain is None else ' class="good"' if gain > 0 else ' class="bad"'
    return (
        f"<tr><td>{whole(event.step)}{hand}</td><td>{number(psnr, 2)}{star}</td>"
        f"<td{tone}>{'–' if gain is None else f'{gain:+.2f}'}</td><td>{number(data.get('ssim_y'), 4)}</td></tr>"
    )


def series(events: Sequence[Event], key: str) -> list[tuple[int, float]]:
    """(step, value) of one figure of the validations, those of the newest branch where two share a step."""
    by_step: dict[int, float] = {}
    for event in events:
        value = finite(event.data.get(key)) if event.type == "validated" else None
        if value is not None:
            by_step[event.step] = value
    return sorted(by_step.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationPicture:
    """One validation picture: three frames side by side, bicubic | output | truth."""

    step: int
    branch: int
    clip: str
    frame: int
    path: str
    width: int
    """Of one of the three."""
    height: int
    profile: str | None = None
    """A picture of one row of pixels over time, the same three side by side."""


def pictures(events: Sequence[Event]) -> list[ValidationPicture]:
    """All pictures on record, oldest first. What lacks a path or a size is left out."""
    newest = []
    for event in events:
        if event.type != "validated":
            continue
        for image in event.data.get("images") or []:
            picture = _picture(event, image)
            if picture:
                newest.append(picture)
    return newest


def _picture(event: Event, image: dict[str, Any]) -> ValidationPicture | None:
    width, height = finite(image.get("width")), finite(image.get("height"))
    if not image.get("path") or not width or not height:
        return None
    if width > 4.5 * height:  # the size of all three together
        width = width / 3
    return ValidationPicture(
        step=event.step, branch=event.branch, clip=str(image.get("clip", "")), frame=int(image.get("frame") or 0),
        path=str(image["path"]), width=int(width), height=int(height), profile=image.get("profile"),
    )  # fmt: skip


PLACES = {"bicubic": "0%", "output": "50%", "truth": "100%"}


def viewer(
    all_pictures: Sequence[ValidationPicture], t: Texts, url: Callable[[str], str], *, clip: str | None = None,
    step: int | None = None, against: int | None = None, left: str = "bicubic", right: str = "output",
) -> str:  # fmt: skip
    """One picture under a movable divider: any two of input, output and truth; then the change since another step."""
    if not all_pictures:
        return f'<p class="hint">{esc(t("no_pictures"))}</p>'
    clips = list(dict.fromkeys(picture.clip for picture in all_pictures))
    clip = clip if clip in clips else all_pictures[-1].clip
    of_clip = [picture for picture in all_pictures if picture.clip == clip]
    chosen = next((p for p in reversed(of_clip) if p.step == step), of_clip[-1])
    earlier = [p for p in of_clip if p.path != chosen.path]
    other = next((p for p in reversed(earlier) if p.step == against), earlier[0] if earlier else None)
    left = left if left in PLACES else "bicubic"
    right = right if right in PLACES else "output"
    controls = (
        _select("clip", t("clip"), [(c, c) for c in clips], clip)
        + _select("pstep", t("step"), [(str(p.step), count(p.step)) for p in of_clip], str(chosen.step))
        + _select("left", t("left_half"), [(place, t(place)) for place in PLACES], left)
        + _select("right", t("right_half"), [(place, t(place)) for place in PLACES], right)
    )
    parts = [
        f'<div class="controls">{controls}</div>',
        _compare(chosen, (url(chosen.path), left, t(left)), (url(chosen.path), right, t(right)), t, "main"),
    ]
    if other is not None:
        parts.append(_change(chosen, other, of_clip, t, url))
    if chosen.profile:
        parts.append(_profile(chosen, t, url))
    return "".join(parts)


def _compare(
    picture: ValidationPicture, left: tuple[str, str, str], right: tuple[str, str, str], t: Texts, name: str
) -> str:
    def half(side: str, part: tuple[str, str, str]) -> str:
        source, place, word = part
        return (
            f'<div class="half {side}" style="background-image:url(\'{esc(source)}\');'
            f'background-position:{PLACES[place]} 0">'
            f"<span>{esc(word)}</span></div>"
        )

    return (
        f'<div class="compare" data-keep-style id="compare-{name}" '
        f'style="aspect-ratio:{picture.width}/{picture.height}">'
        f"{half('left', left)}{half('right', right)}"
        f'<input type="range" min="0" max="100" value="50" data-divider aria-label="{esc(t("divider"))}"></div>'
    )


def _change(
    picture: ValidationPicture,
    other: ValidationPicture,
    of_clip: Sequence[ValidationPicture],
    t: Texts,
    url: Callable[[str], str],
) -> str:
    steps = [(str(p.step), count(p.step)) for p in of_clip if p.path != picture.path]
    now = (url(picture.path), "output", f"{t('output')} {count(picture.step)}")
    then = (url(other.path), "output", f"{t('output')} {count(other.step)}")
    place = f"background-position:{PLACES['output']} 0"
    return (
        f'<div class="controls">{_select("against", t("against_step"), steps, str(other.step))}</div>'
        f'<div class="pair">{_compare(picture, then, now, t, "steps")}'
        f'<div class="difference" role="img" aria-label="{esc(t("difference"))}" '
        f'style="aspect-ratio:{picture.width}/{picture.height}">'
        f"<div style=\"background-image:url('{esc(then[0])}');{place}\"></div>"
        f"<div style=\"background-image:url('{esc(now[0])}');{place}\"></div>"
        f"<span>{esc(t('difference'))}</span></div></div>"
    )


def _profile(picture: ValidationPicture, t: Texts, url: Callable[[str], str]) -> str:
    assert picture.profile
    names = "".join(f"<span>{esc(t(place))}</span>" for place in PLACES)
    return (
        f'<figure class="profile"><figcaption>{esc(t("profile"))} <small>{esc(t("profile_hint"))}</small></figcaption>'
        f'<div class="names">{names}</div><img src="{esc(url(picture.profile))}" alt="{esc(t("profile"))}"></figure>'
    )


def _select(name: str, label: str, options: Sequence[tuple[str, str]], chosen: str) -> str:
    rows = "".join(
        f'<option value="{esc(key)}"{" selected" if key == chosen else ""}>{esc(word)}</option>'
        for key, word in options
    )
    return f'<label>{esc(label)} <select data-view="{name}">{rows}</select></label>'
