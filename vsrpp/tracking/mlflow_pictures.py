"""Validation pictures as the UI's image grid reads them: by key and step, and one at step 0, where the grid opens."""

from __future__ import annotations

import re
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from vsrpp.store import Event

if TYPE_CHECKING:
    from PIL.Image import Image

    from vsrpp.tracking.connection import Connection

FOLDER = "images"
THUMBNAIL_PIXELS = 256
"""Longer side of the small picture that the UI's grid shows."""
PANELS = 3
"""Bicubic, output, truth, side by side."""
NO_OUTPUT = 64
"""Grey level of the panel that has no output yet."""
READABLE_PIXELS = 8


def upload(connection: Connection, run_id: str, event: Event, key: str, path: Path) -> None:
    """The picture of a validation under its step."""
    from PIL import Image

    with Image.open(path) as picture:
        _upload(connection, picture, f"{run_id}/{event.branch}/{event.step}/{key}", key, event.step, event.time, path)


def upload_reference(connection: Connection, run_id: str, began: float, key: str, path: Path) -> None:
    """At step 0 what a key's pictures will be measured against: bicubic and truth, nothing where the output will be.

    MLflow's image grid opens at step 0 and shows nothing where no picture has that step. `began`: seconds since 1970;
    the same from whichever validation's picture it is made, so that it is there once.
    """
    from PIL import Image

    with Image.open(path) as picture:
        reference = without_output(picture)
    _upload(connection, reference, f"{run_id}/reference/{key}", key, 0, began)


def without_output(triptych: Image) -> Image:
    """The picture with its middle panel empty and marked so."""
    from PIL import ImageDraw

    reference = triptych.convert("RGB")
    width, height = reference.width // PANELS, reference.height
    draw = ImageDraw.Draw(reference)
    draw.rectangle((width, 0, 2 * width - 1, height), fill=(NO_OUTPUT, NO_OUTPUT, NO_OUTPUT))
    size = min(width // 8, height // 4)
    if size >= READABLE_PIXELS:
        centre, white = (width + width // 2, height // 2), (255, 255, 255)
        draw.text(centre, "not trained\nyet", fill=white, anchor="mm", align="center", font_size=size)
    return reference


def _upload(
    connection: Connection, picture: Image, identity: str, key: str, step: int, at: float, source: Path | None = None
) -> None:
    """Two files under the names that `log_image` gives them, which the UI's grid and slider read.

    `log_image` itself draws a random name each time, so that a picture sent again would be there twice.
    `source`: the file that the picture was read from.
    """
    client, run_id = connection.client, connection.run_id
    safe = re.sub(r"[^a-zA-Z0-9_\-. /]", "_", key).replace("/", "~")
    stem = f"{safe}+step+{step}+timestamp+{round(at * 1000)}+{uuid.uuid5(uuid.NAMESPACE_URL, identity)}"
    with tempfile.TemporaryDirectory(prefix="vsrpp-") as folder:
        full, small = Path(folder) / f"{stem}.png", Path(folder) / f"{stem}+compressed.webp"
        if source is not None and source.suffix == ".png":
            full.write_bytes(source.read_bytes())
        else:
            picture.save(full)
        thumbnail = picture.convert("RGB")
        thumbnail.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
        thumbnail.save(small)
        client.log_artifact(run_id, str(full), FOLDER)
        client.log_artifact(run_id, str(small), FOLDER)
    client.set_tag(run_id, "mlflow.loggedImages", "true")
