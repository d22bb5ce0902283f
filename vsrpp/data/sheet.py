"""The contact sheet: each clip's first, middle and last frame, and one small frame as training receives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from vsrpp.data import messages
from vsrpp.data.dataset import Data
from vsrpp.data.split import AnyClip

MOST_CLIPS = 24
_THUMB = (240, 135)
_GAP = 6
_LABEL = 16
_COLUMNS = 4
_INK = {"train": (60, 180, 75), "val": (255, 165, 0), "train+val": (70, 160, 230), "left out": (150, 150, 150)}


def contact_sheet(data: Data, roles: Sequence[str], file: Path) -> int:
    """Write the sheet as PNG; returns the number of clips on it (at most MOST_CLIPS, evenly spaced).

    roles: the split of each of data.clips. Raises Refused if the file cannot be written.
    """
    count = len(data.clips)
    chosen = range(count) if count <= MOST_CLIPS else [place * count // MOST_CLIPS for place in range(MOST_CLIPS)]
    width = _COLUMNS * (_THUMB[0] + _GAP) + _GAP
    row_height = _THUMB[1] + _LABEL + _GAP
    sheet = Image.new("RGB", (width, len(chosen) * row_height + _GAP), (24, 24, 24))
    for row, number in enumerate(chosen):
        _draw(sheet, data.clips[number], roles[number], _GAP + row * row_height)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(file, "PNG")
    except OSError as error:
        raise messages.SHEET_NOT_WRITTEN(file=file, cause=error.strerror or error) from None
    return len(chosen)


def _draw(sheet: Image.Image, clip: AnyClip, role: str, top: int) -> None:
    gt, lr = clip.gt(), clip.lr()
    middle = clip.frames // 2
    for column, number in enumerate((0, middle, clip.frames - 1)):
        _paste(sheet, Image.fromarray(np.ascontiguousarray(gt[number : number + 1][0])), column, top)
    small = Image.fromarray(np.ascontiguousarray(lr[middle : middle + 1][0]))
    _paste(sheet, small.resize((small.width * clip.scale, small.height * clip.scale), Image.Resampling.NEAREST), 3, top)
    text = (
        f"{clip.name}   {role}   {clip.frames} frames   {clip.source_width}x{clip.source_height}"
        f"   small: {small.width}x{small.height}, {clip.degradation}"
    )
    printable = text.encode("latin-1", "replace").decode("latin-1")  # the characters of Pillow's built-in font
    ImageDraw.Draw(sheet).text(
        (_GAP, top), printable, fill=_INK.get(role, (200, 200, 200)), font=ImageFont.load_default()
    )


def _paste(sheet: Image.Image, image: Image.Image, column: int, top: int) -> None:
    image = ImageOps.contain(
        image, _THUMB, Image.Resampling.BILINEAR if image.width > _THUMB[0] else Image.Resampling.NEAREST
    )
    left = _GAP + column * (_THUMB[0] + _GAP) + (_THUMB[0] - image.width) // 2
    sheet.paste(image, (left, top + _LABEL))
