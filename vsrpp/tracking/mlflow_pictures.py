"""Validation pictures for MLflow's image grid: by key and step, plus one at step 0, where the grid opens."""

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
"""Longer side of the thumbnail in MLflow's image grid."""
PANELS = 3
"""Bicubic, output and ground truth, side by side."""
NO_OUTPUT = 64
"""Grey level of the empty output panel."""
READABLE_PIXELS = 8


def upload(connection: Connection, run_id: str, event: Event, key: str, path: Path) -> None:
    """Upload a validation's picture at its step."""
    from PIL import Image

    with Image.open(path) as picture:
        _upload(connection, picture, f"{run_id}/{event.branch}/{event.step}/{key}", key, event.step, event.time, path)


def upload_reference(connection: Connection, run_id: str, began: float, key: str, path: Path) -> None:
    """Upload the reference picture of a key at step 0: bicubic and ground truth, with an empty output panel.

    MLflow's image grid opens at step 0 and shows nothing for keys without a picture at that step. `began`: seconds
    since 1970. Every validation gives the same picture, so uploading it again makes no duplicate.
    """
    from PIL import Image

    with Image.open(path) as picture:
        reference = without_output(picture)
    _upload(connection, reference, f"{run_id}/reference/{key}", key, 0, began)


def without_output(triptych: Image) -> Image:
    """The picture with its middle panel blanked and labelled."""
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
    """Two files under the names that `log_image` would give them, which MLflow's grid and slider expect.

    `log_image` itself uses a random name each time, so that a retry would create a duplicate.
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
