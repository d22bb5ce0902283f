"""The recipes: the field's settings, each in a file that is read, found by its name, and trains on data of its layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.clips import write_video
from tests.support.layouts import clip_frames, make_reds, make_vimeo
from tests.support.processes import vsrpp
from vsrpp import config, paths
from vsrpp.errors import NotFound
from vsrpp.schedule import learning_rate

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("basicvsr_reds", "basicvsr_vimeo", "basicvsrpp_reds", "vsrpp_video")
SMALL = {
    "n_feats": 8, "n_blocks": 1, "crop_size": 32, "batch_size": 1, "num_workers": 0, "torch_threads": 1, "max_steps": 3,
    "decode_cache_gib": 1, "log_every": 1,
}  # fmt: skip
"""What makes a recipe fit a test: sizes alone."""


def recipe(name: str, **sets: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return config.resolve(None, ROOT / "recipes" / f"{name}.yaml", sets)


def make_videos(root: Path) -> Path:
    for number in range(5):
        write_video(root / f"{number}.mkv", clip_frames(number, 16))
    return root


MAKERS = {
    "basicvsr_reds": make_reds, "basicvsr_vimeo": make_vimeo, "basicvsrpp_reds": make_reds, "vsrpp_video": make_videos,
}  # fmt: skip


def test_every_recipe_is_tested_here() -> None:
    assert {file.stem for file in (ROOT / "recipes").iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", ["basicvsr_reds", "basicvsr_vimeo"])
def test_basicvsr_is_trained_as_it_was_published(name: str) -> None:
    run_config, live = recipe(name)
    wanted = {
        "network": "basicvsr", "n_feats": 64, "n_blocks": 30, "scale": 4, "batch_size": 8, "crop_size": 256,
        "num_frames": 15 if name == "basicvsr_reds" else 14, "pixel_loss": "charbonnier", "weight_decay": 0.0,
        "warmup_steps": 0, "flow_lr_ratio": 0.125, "flow_freeze_steps": 5000, "precision": "fp32",
    }  # fmt: skip
    assert {key: run_config[key] for key in wanted} == wanted
    assert (live["l1_weight"], live["ms_weight"], live["grad_weight"], live["perceptual_weight"]) == (1.0, 0, 0, 0)
    assert live["max_steps"] == 300_000 and not live["adaptive"]
    assert learning_rate(0, live, run_config) == 2e-4
    assert learning_rate(299_999, live, run_config) == pytest.approx(1e-7, rel=1e-3)


def test_basicvsrpp_is_trained_as_it_was_published() -> None:
    run_config, live = recipe("basicvsrpp_reds")
    wanted = {
        "network": "basicvsrpp", "n_feats": 64, "n_blocks": 7, "scale": 4, "batch_size": 8, "crop_size": 256,
        "num_frames": 30, "pixel_loss": "charbonnier", "weight_decay": 0.0, "warmup_steps": 0, "flow_lr_ratio": 0.25,
        "flow_freeze_steps": 5000,
    }  # fmt: skip
    assert {key: run_config[key] for key in wanted} == wanted
    assert (live["l1_weight"], live["ms_weight"], live["grad_weight"], live["perceptual_weight"]) == (1.0, 0, 0, 0)
    assert live["max_steps"] == 600_000 and not live["adaptive"]
    assert learning_rate(0, live, run_config) == 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_names_its_data_so_that_nothing_else_is_trained_on_by_mistake(name: str) -> None:
    assert recipe(name)[0]["data"] not in (None, "sample")


def test_a_recipe_is_found_by_its_name_and_a_file_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.config_file("vsrpp_video") == paths.recipes_dir() / "vsrpp_video.yaml"
    assert config.config_file("vsrpp_video.yaml") == paths.recipes_dir() / "vsrpp_video.yaml"
    (tmp_path / "vsrpp_video.yaml").write_text("seed: 3\n")
    assert config.config_file("vsrpp_video.yaml") == Path("vsrpp_video.yaml")
    for name in ("vsrpp_vidoe", "elsewhere/vsrpp_video.yaml"):
        with pytest.raises(
            NotFound, match="the recipes are basicvsr_reds, basicvsr_vimeo, basicvsrpp_reds, vsrpp_video"
        ):
            config.config_file(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_on_small_data_of_its_layout(tmp_path: Path, name: str) -> None:
    root = MAKERS[name](tmp_path / "set")
    words = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    words += [] if name == "basicvsr_vimeo" else ["--set", "num_frames=4"]
    train = ["train", "--config", name, "--data", str(root), "--no-panel", "--no-tensorboard", *words]
    done = vsrpp(tmp_path, *train, timeout_s=600)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "finished at step 3 of 3" in done.stdout
