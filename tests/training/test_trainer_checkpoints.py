"""Checkpoints: written, kept and pruned; rolled back to, and continued in a new run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.support.runs import Killed, Steered, configs, series
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.errors import Refused
from vsrpp.paths import CheckpointPaths


# ---- rollback
def test_a_rollback_restores_every_value_and_goes_on_as_that_state_would(tmp_path: Path, tiny_clip: Path) -> None:
    whole = Steered.new(tmp_path / "a", tiny_clip, max_steps=16)
    whole.train()
    run = Steered.new(
        tmp_path / "b",
        tiny_clip,
        {11: lambda r: r.edit(max_lr=9e-5), 14: lambda r: r.ask("rollback", step=10)},
        max_steps=16,
    )
    assert run.train() == "finished"
    answer = run.answer()
    assert (answer.status, answer.step, answer.branch, answer.revision) == ("done", 10, 1, 2)
    assert run.weights() == whole.weights()
    assert run.context.live["max_lr"] == 1e-3
    assert json.loads(run.paths.runtime_config.read_text())["revision"] == 2
    (event,) = [e for e in run.events if e.type == "rolled_back"]
    assert (event.data["from_step"], event.data["to_step"], event.data["from_branch"], event.branch) == (14, 10, 0, 1)
    assert {(0, 12), (0, 14), (1, 12), (1, 14), (1, 16)} <= series(run.paths, "loss/total").keys()


def test_a_rollback_to_a_step_without_checkpoint_names_the_nearest(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {11: lambda r: r.ask("rollback", step=4)})
    run.train()
    assert run.answer().status == "refused"
    assert run.answer().message.endswith("has no checkpoint at step 4; the nearest is step 10.")


def test_a_run_killed_after_a_rollback_resumes_on_its_new_branch(tmp_path: Path, tiny_clip: Path) -> None:
    whole = Steered.new(tmp_path / "a", tiny_clip, max_steps=16)
    whole.train()

    def back(run: Steered) -> None:
        run.ask("rollback", step=10)
        run.at[12] = Steered.kill

    run = Steered.new(tmp_path / "b", tiny_clip, {14: back}, max_steps=16)
    run.train_until_killed()
    run_again = Steered.resumed(run.paths)
    run_again.train()
    assert run_again.weights() == whole.weights()
    assert control.status(run.paths)["branch"] == 1


# ---- from a checkpoint
def test_a_new_run_from_a_checkpoint_goes_on_there_with_its_config_and_lineage(tmp_path: Path, tiny_clip: Path) -> None:
    from vsrpp.training.start import prepare_new

    whole = Steered.new(tmp_path / "a", tiny_clip, {4: lambda r: r.edit(grad_clip=0.5)}, max_steps=20)
    whole.train()
    run_config, live = configs(tiny_clip, max_steps=20, grad_clip=0.5)
    prepared = prepare_new(
        run_config, live, runs=tmp_path / "b", run_id=lambda: None, say=lambda _: None,
        parent=whole.paths.checkpoint(10), lineage={"run_id": whole.paths.run_id, "step": 10, "source": "x"},
    )  # fmt: skip
    run = Steered(prepared)
    run.train()
    assert run.weights() == whole.weights()
    started = control.history(run.paths)[0]
    assert (started.type, started.step, started.data["parent"]["run_id"]) == ("started", 10, whole.paths.run_id)
    assert control.checkpoint_steps(run.paths)[0] == 10


def test_a_checkpoint_of_another_network_is_refused_naming_what_differs(tmp_path: Path, tiny_clip: Path) -> None:
    from vsrpp.training.start import prepare_new

    run = Steered.new(tmp_path / "a", tiny_clip)
    run.train()
    run_config, live = configs(tiny_clip, n_feats=6, max_steps=20)
    with pytest.raises(Refused, match="n_feats is 4 there and 6 here"):
        prepare_new(
            run_config,
            live,
            runs=tmp_path / "b",
            run_id=lambda: None,
            say=lambda _: None,
            parent=run.paths.checkpoint(10),
        )


# ---- checkpoints
def test_a_checkpoint_is_whole_hashed_and_its_weights_depend_on_nothing_else(tmp_path: Path, tiny_clip: Path) -> None:
    from vsrpp.checkpoints.files import verify_files

    runs = [Steered.new(tmp_path / name, tiny_clip) for name in "ab"]
    for run in runs:
        run.train()
    folders = [run.paths.checkpoint(10) for run in runs]
    manifests = [verify_files(folder) for folder in folders]
    assert set(manifests[0]["files"]) == {
        "model.safetensors",
        "model_ema.safetensors",
        "training_state.pt",
        "runtime_config.json",
        "run_config.yaml",
    }
    for name in ("model.safetensors", "model_ema.safetensors"):
        assert manifests[0]["files"][name] == manifests[1]["files"][name]
    assert manifests[0]["metrics"]["val/psnr_y"] == manifests[1]["metrics"]["val/psnr_y"]
    torch.load(folders[0].training_state, weights_only=True)
    model, ema = safetensors.torch.load_file(folders[0].model), safetensors.torch.load_file(folders[0].model_ema)
    assert any(not torch.equal(model[name], ema[name]) for name in model), "the EMA is not written over the weights"


def test_a_checkpoint_that_cannot_be_written_is_an_event_and_training_goes_on(tmp_path: Path, tiny_clip: Path) -> None:
    def block(run: Steered) -> None:
        run.paths.checkpoints.rename(run.paths.root / "kept")
        run.paths.checkpoints.write_text("not a folder")

    def unblock(run: Steered) -> None:
        checkpoints = run.context.checkpoints
        wait_until(
            lambda: checkpoints.collect() or not checkpoints.busy, what="the failure of the checkpoint at step 10"
        )
        run.paths.checkpoints.unlink()
        run.paths.checkpoints.mkdir()

    run = Steered.new(tmp_path, tiny_clip, {8: block, 11: unblock})
    assert run.train() == "finished"
    (event,) = [e for e in run.events if e.type == "checkpoint_failed"]
    assert event.data["at_step"] == 10
    assert control.status(run.paths)["checkpoints"] == [12]


def test_old_checkpoints_go_and_the_last_and_best_stay(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=60, checkpoint_every=10, keep_last=2, checkpoint_upload="local")
    run.train()
    seen = control.status(run.paths)
    assert seen["checkpoints"][-2:] == [50, 60]
    assert seen["best"]["step"] in seen["checkpoints"]
    assert len(seen["checkpoints"]) <= 3


def test_a_kill_while_a_checkpoint_is_removed_leaves_no_half_that_passes_for_one(
    tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    from vsrpp.checkpoints import files

    run = Steered.new(tmp_path, tiny_clip, max_steps=60, checkpoint_every=10, keep_last=1, checkpoint_upload="local")

    def half_way(folder: Path, **_: Any) -> None:
        if folder.name.endswith(".gone.part"):
            (folder / "manifest.json").unlink()
            (folder / "model.safetensors").unlink()
            raise Killed
        shutil.rmtree(folder, ignore_errors=True)

    with monkeypatch.context() as patched:
        patched.setattr(files, "shutil", SimpleNamespace(rmtree=half_way))
        run.train_until_killed()
    left = {path.name for path in run.paths.checkpoints.iterdir()}
    assert any(name.endswith(".gone.part") for name in left)
    for name in left:
        if name.startswith("step_"):
            files.verify_files(CheckpointPaths(run.paths.checkpoints / name))
    again = Steered.resumed(run.paths)
    assert not list(run.paths.checkpoints.glob(".step_*"))
    assert again.train() == "finished"


def test_a_checkpoint_set_aside_by_a_later_branch_goes_when_it_is_safe(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(
        tmp_path, tiny_clip, {35: lambda r: r.ask("rollback", step=10)},
        max_steps=60, checkpoint_every=10, keep_last=9, checkpoint_upload="local",
    )  # fmt: skip
    assert run.train() == "finished"
    assert run.answer().status == "done"
    assert not list(run.paths.checkpoints.glob("step_*_b*"))
    assert [step for step in control.checkpoint_steps(run.paths) if step <= 60] == [10, 20, 30, 40, 50, 60]
