"""Validation: the history as a table, and the pictures with their dividers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vsrpp.control import RunView
from vsrpp.control.run_view import ValidationRow
from vsrpp.formats import count, finite, whole
from vsrpp.store import Event

from ..charts.lines import line_chart
from ..markup import Piece, piece
from ..messages import Texts

SHOWN_ROWS = 12


def history(snapshot: RunView, t: Texts, *, width: int = 560) -> Piece:
    """A chart of the newest branch and the newest validations, newest first, with the gain over bicubic."""
    rows = snapshot.validations
    every = int(snapshot.config.live.get("validate_every") or 1)
    ours, bicubic = (thinned(series(rows, figure)) for figure in ("psnr_y", "bicubic_psnr_y"))
    curves = [(t("of_bicubic"), "was", bicubic), (t("of_output"), "will", ours)]
    return piece(
        "history", rows=rows[: -SHOWN_ROWS - 1 : -1], all=len(rows), due=whole((snapshot.step // every + 1) * every),
        run=snapshot,
        chart=line_chart(curves, width=min(560, width)) if len(ours) > 1 else None,
    )  # fmt: skip


def thinned(points: list[tuple[int, float]], most: int = 240) -> list[tuple[int, float]]:
    """Thin the points to about `most`, and keep the last."""
    every = max(1, len(points) // most)
    return points[::every] + (points[-1:] if len(points) % every != 1 and every > 1 else [])


def series(rows: Sequence[ValidationRow], figure: str) -> list[tuple[int, float]]:
    """(step, value) of one figure of the validations, those of the newest branch where two share a step."""
    by_step: dict[int, float] = {}
    for row in rows:
        value = getattr(row, figure)
        if value is not None:
            by_step[row.step] = value
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
"""Where each of the three stands in the picture, as a background position."""


@dataclass(frozen=True, slots=True)
class Half:
    """One of the three frames of a picture, as one side of a comparison shows it."""

    place: str
    url: str
    word: str

    @property
    def at(self) -> str:
        return PLACES[self.place]


def viewer(
    all_pictures: Sequence[ValidationPicture], t: Texts, url: Callable[[str], str], *, clip: str | None = None,
    step: int | None = None, against: int | None = None, left: str = "bicubic", right: str = "output",
) -> Piece:  # fmt: skip
    """One picture under a movable divider: any two of input, output and truth; then the change since another step."""
    if not all_pictures:
        return piece("pictures", picture=None)
    clips = list(dict.fromkeys(picture.clip for picture in all_pictures))
    clip = clip if clip in clips else all_pictures[-1].clip
    of_clip = [picture for picture in all_pictures if picture.clip == clip]
    chosen = next((p for p in reversed(of_clip) if p.step == step), of_clip[-1])
    earlier = [p for p in of_clip if p.path != chosen.path]
    other = next((p for p in reversed(earlier) if p.step == against), earlier[0] if earlier else None)

    def half(picture: ValidationPicture, place: str, word: str) -> Half:
        return Half(place, url(picture.path), word)

    left, right = left if left in PLACES else "bicubic", right if right in PLACES else "output"
    change = {} if other is None else {
        "now": half(chosen, "output", f"{t('output')} {count(chosen.step)}"),
        "other_steps": [(str(p.step), count(p.step)) for p in earlier],
        "against": str(other.step),
    }  # fmt: skip
    return piece(
        "pictures", picture=chosen, clips=[(c, c) for c in clips], steps=[(str(p.step), count(p.step)) for p in of_clip],
        places=[(place, t(place)) for place in PLACES], left=half(chosen, left, t(left)),
        right=half(chosen, right, t(right)), profile=url(chosen.profile) if chosen.profile else "",
        then=None if other is None else half(other, "output", f"{t('output')} {count(other.step)}"), **change,
    )  # fmt: skip
