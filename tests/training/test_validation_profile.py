"""A validation saves the temporal profile where the panel expects it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.support.clips import tiny_clip as make_clip
from tests.support.runs import Steered


@pytest.mark.slow
def test_every_picture_of_a_validation_has_its_profile_in_the_run_folder(tmp_path: Path) -> None:
    run = Steered.new(tmp_path / "runs", make_clip(tmp_path), max_steps=2, validate_every=10)
    assert run.train() == "finished"
    images = next(event for event in run.events if event.type == "validated").data["images"]
    assert images
    for image in images:
        with Image.open(run.paths.root / image["profile"]) as profile:
            assert profile.width == 3 * image["width"]
            assert profile.height >= 96
