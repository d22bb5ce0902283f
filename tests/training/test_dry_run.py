"""`vsrpp train --check`: real steps and figures, no files left over, and every failure reported before the first step."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.processes import train_command, vsrpp
from tests.support.reasons import raises
from tests.support.runs import configs, open_in_process, train
from tests.support.waiting import free_port
from vsrpp.cli.dry_run import lines
from vsrpp.launch.dry_run_job import unreachable
from vsrpp.paths import CheckpointPaths
from vsrpp.training import dry_run, messages
from vsrpp.training.dry_run import DryRun
from vsrpp.training.forecast import Measured, forecast, occasions, oddities
from vsrpp.training.open_run import open_run

MEASURED = Measured(
    step_s=0.5, data_wait_s=0.1, validation_s=10.0, checkpoint_wait_s=2.0, checkpoint_bytes=1000, picture_bytes=50,
    values_per_row=10,
)  # fmt: skip


def tried(runs: Path, data: Path, **sets: Any) -> DryRun:
    return dry_run.dry_run(*configs(data, **sets), runs=runs, say=lambda _: None)


def test_a_check_makes_real_steps_and_leaves_nothing_behind(tmp_path: Path, tiny_clip: Path) -> None:
    seen = tried(tmp_path / "deep" / "runs", tiny_clip)
    assert list(tmp_path.iterdir()) == []
    assert seen.problems == []
    assert len(seen.losses) == 3 and all(math.isfinite(loss) for loss in seen.losses)
    assert seen.measured is not None and seen.forecast is not None and seen.cost is not None
    assert seen.measured.step_s > 0 and seen.measured.validation_s > 0
    assert seen.peak_bytes > 2**20 and seen.free_bytes > 0
    assert json.loads(json.dumps(seen.to_json(), allow_nan=False))["would_run"] is True


def test_the_size_of_a_checkpoint_is_that_of_the_run_that_follows(tmp_path: Path, tiny_clip: Path) -> None:
    seen = tried(tmp_path / "runs", tiny_clip, max_steps=10)
    prepared, context = open_in_process(tmp_path / "runs", tiny_clip, max_steps=10)
    train(context)
    written = sum(file.stat().st_size for file in prepared.paths.checkpoint(10).root.iterdir())
    assert seen.measured is not None
    assert seen.measured.checkpoint_bytes == pytest.approx(written, rel=0.05)


def test_hours_disk_and_upload_follow_from_what_was_measured() -> None:
    run_config, live = configs(Path("sample"), max_steps=1050, validate_every=100, checkpoint_every=250, log_every=10)
    whole = forecast(MEASURED, run_config, live)
    assert (whole.steps, whole.validations) == (1050, 11)
    assert whole.checkpoints == (5, 13)  # 250 … 1000 and 1050; plus 100 … 900 without 500 if each is a new best
    assert whole.hours == pytest.approx((1050 * 0.5 + 11 * 10 + 13 * 2) / 3600)
    assert whole.kept_checkpoints == 12  # the last 10, the best, and one being written
    assert whole.disk_bytes == 12 * 1000 + 2 * 11 * 50 + 105 * 10 * 150
    assert whole.upload_bytes == 13 * 1000 + 11 * 50
    local = forecast(MEASURED, {**run_config, "checkpoint_upload": "local"}, live)
    assert local.upload_bytes == 11 * 50


@pytest.mark.parametrize(("start", "last", "every"), [(0, 10, 10), (0, 12, 10), (7, 30, 4), (8, 9, 50)])
def test_occasions_are_the_multiples_and_the_last_step(start: int, last: int, every: int) -> None:
    counted = [step for step in range(start + 1, last + 1) if step % every == 0 or step == last]
    assert occasions(start, last, every) == len(counted)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ({"validate_every": 50}, "validate_every = 50 is more than the run's 12 steps"),
        ({"checkpoint_every": 50}, "checkpoint_every = 50 is more than the run's 12 steps"),
        ({"num_workers": 5}, "num_workers = 5 on 4 CPU cores"),
        ({"torch_threads": 5}, "torch_threads = 5 on 4 CPU cores"),
        ({"warmup_steps": 12}, "the rate never reaches max_lr"),
        ({"lr_schedule": "constant", "lr_gamma": 0.1}, "lr_gamma = 0.1 has no effect with lr_schedule = constant"),
        ({"lr_schedule": "constant", "plateau_action": "boost_lr"}, "plateau_action = boost_lr has no effect"),
        (
            {"lr_schedule": "multi_step", "lr_milestones": "3"},
            "in the warm-up of 4 steps, so the rate never reaches max_lr",
        ),
        (
            {"lr_schedule": "cosine_restarts", "lr_periods": "8"},
            "cuts the last period, so the run ends at a rate of 5.0",
        ),
        ({"network": "basicvsr", "scale": 4, "flow_freeze_steps": 5}, "without pretrained"),
        ({"network": "basicvsr", "scale": 4, "flow_freeze_steps": 12, "pretrained": "f.pth"}, "never learns"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(sets: dict[str, Any], told: str) -> None:
    plain = oddities(*configs(Path("sample"), plateau_patience=50, max_steps=60), cores=4)
    assert plain == []
    assert [line for line in oddities(*configs(Path("sample"), **sets), cores=4) if told in line]


def test_a_missing_perceptual_weight_file_is_found_before_the_run(tmp_path: Path, tiny_clip: Path) -> None:
    seen = tried(tmp_path / "runs", tiny_clip, perceptual_weights=str(tmp_path / "vgg19.pth"))
    assert len(seen.problems) == 1
    assert "vgg19.pth refused: no such file" in seen.problems[0]
    assert seen.measured is None
    assert "❌" in "\n".join(lines(seen, configs(tiny_clip)[0]))


def test_a_validation_that_cannot_fit_into_memory_is_refused_before_the_run(
    tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrpp.training.prepared.there_is", lambda _device: 1000)
    seen = tried(tmp_path / "runs", tiny_clip)
    assert "validation clip tiny refused: scoring 5 frames of 96×64 at once needs at least" in seen.problems[0]
    assert seen.measured is None and list(tmp_path.iterdir()) == []
    with raises(messages.VALIDATION_TOO_LARGE, clip="tiny", frames=5):
        open_in_process(tmp_path / "runs", tiny_clip)


def test_a_disk_too_small_for_what_is_kept_is_found(
    tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dry_run.shutil.disk_usage(tmp_path)
    seen = tried(tmp_path / "runs", tiny_clip, keep_last=1)
    assert seen.forecast is not None
    too_little = real._replace(free=seen.forecast.disk_bytes * 9 // 10)  # a second measurement differs slightly
    monkeypatch.setattr(dry_run.shutil, "disk_usage", lambda _: too_little)
    seen = tried(tmp_path / "runs", tiny_clip, keep_last=1)
    assert [line for line in seen.problems if "Keep fewer checkpoints" in line]


def test_a_tracking_store_on_the_same_disk_counts(tmp_path: Path, tiny_clip: Path) -> None:
    seen = dry_run.dry_run(
        *configs(tiny_clip), runs=tmp_path / "runs", say=lambda _: None, store=tmp_path / "mlartifacts"
    )
    assert seen.forecast is not None
    assert seen.store_bytes == seen.forecast.upload_bytes > 0


def test_a_run_from_a_checkpoint_is_tried_from_there(tmp_path: Path, tiny_clip: Path) -> None:
    prepared, context = open_in_process(tmp_path / "runs", tiny_clip, max_steps=10)
    train(context)
    parent = CheckpointPaths(prepared.paths.checkpoint(10).root)
    seen = dry_run.dry_run(
        *configs(tiny_clip, max_steps=40), runs=tmp_path / "runs", say=lambda _: None, parent=parent
    )  # fmt: skip
    assert seen.problems == []
    assert seen.forecast is not None and seen.forecast.steps == 30
    assert seen.controller.startswith("no plateau is possible: it takes until step 361")
    assert any(line.startswith("controller") and seen.controller in line for line in lines(seen, configs(tiny_clip)[0]))


def test_a_loss_that_is_not_finite_is_a_problem(
    tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsrpp import models

    build = models.build

    def poisoned(run_config: Any) -> Any:
        made = build(run_config)
        with torch.no_grad():
            next(iter(made.parameters())).fill_(math.nan)
        return made

    monkeypatch.setattr(models, "build", poisoned)
    seen = tried(tmp_path / "runs", tiny_clip)
    assert [line for line in seen.problems if "of step 1 is not finite" in line]


@pytest.mark.parametrize(("frozen", "learns"), [(5, True), (12, False)])
def test_a_flow_network_that_thaws_later_is_tried_as_it_learns(
    tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch, frozen: int, learns: bool
) -> None:
    tried_with: list[Any] = []

    def watched(*args: Any, **how: Any) -> Any:
        opened = open_run(*args, **how)
        tried_with.append(opened.state.model)
        return opened

    monkeypatch.setattr(dry_run, "open_run", watched)
    sets = {"network": "basicvsr", "scale": 4, "flow_freeze_steps": frozen, "num_workers": 0}
    assert tried(tmp_path / "runs", tiny_clip, **sets).problems == []
    [model] = tried_with
    assert all(parameter.requires_grad is learns for parameter in model.flow_network().parameters())


def test_a_server_that_does_not_answer_is_a_warning_and_no_problem() -> None:
    [line] = unreachable(f"http://anna:secret@127.0.0.1:{free_port()}")
    assert "cannot be reached" in line and "secret" not in line
    assert unreachable("sqlite:////nowhere/mlflow.db") == []


@pytest.mark.slow
def test_the_command_says_what_the_run_would_take_and_starts_none(tmp_path: Path, tiny_clip: Path) -> None:
    done = vsrpp(tmp_path, *train_command(tiny_clip), "--check")
    assert done.returncode == 0, done.stderr
    assert "✅ It would run" in done.stdout
    for name in ("memory", "a step", "a validation", "a checkpoint", "the whole run", "disk", "upload"):
        assert any(line.startswith(name) for line in done.stdout.splitlines())
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}
    done = vsrpp(tmp_path, *train_command(tiny_clip, perceptual_weights="none.pth"), "--check", "--json")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "this run would fail" in done.stderr
    assert json.loads(done.stdout)["would_run"] is False
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--check", "--resume", "latest"], "--check"), (["--json"], "--json requires --check")],
)
def test_what_does_not_go_with_a_check_is_refused(words: list[str], told: str, capsys: Any) -> None:
    from vsrpp.cli import main

    assert main(["train", *words]) == 2
    assert told in capsys.readouterr().err
