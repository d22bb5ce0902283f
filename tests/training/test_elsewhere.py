"""Known bugs of other trainers that no other test covers; docs/data-and-training.md has the complete list."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.support.clips import piece, write_video
from tests.support.processes import vsrpp
from tests.support.runs import Steered, once, open_in_process, spoil, train
from vsrpp.checkpoints.files import load_checkpoint
from vsrpp.store import RunReader

ROOT = Path(__file__).resolve().parents[2]


def tensors(found: Any) -> list[Tensor]:
    """Every tensor of a nested state, in order."""
    if isinstance(found, Tensor):
        return [found]
    inside = found.values() if isinstance(found, dict) else found if isinstance(found, (list, tuple)) else ()
    return [tensor for part in inside for tensor in tensors(part)]


def test_a_step_that_is_not_finite_reaches_neither_weights_nor_ema_nor_moments(tmp_path: Path, tiny_clip: Path) -> None:
    held: list[Any] = []

    def poison(run: Steered) -> None:
        held.append(run.context.state.capture(run.context.live))
        spoil(run.context, once([run.context.state.step + 1]))

    run = Steered.new(tmp_path, tiny_clip, {5: poison, 6: lambda r: held.append(r.context.state.capture({}))})
    assert run.train() == "finished"
    assert run.types().count("non_finite") == 1
    before, after = held
    for part in ("model", "model_ema"):
        assert all(torch.equal(getattr(before, part)[name], getattr(after, part)[name]) for name in before.model)
    moments = [tensors(state.rest["optimizer"]["state"]) for state in held]
    assert len(moments[0]) > 0
    assert all(torch.equal(a, b) for a, b in zip(*moments, strict=True))
    assert all(bool(tensor.isfinite().all()) for tensor in tensors(run.context.state.capture({}).model_ema))


def test_validation_scores_the_ema_and_leaves_the_weights_that_train_alone(tmp_path: Path, tiny_clip: Path) -> None:
    prepared, run = open_in_process(tmp_path, tiny_clip, ema_decay=0.9)
    train(run)
    with RunReader(prepared.paths.run_db) as record:
        validated = record.last_event("validated")
    assert validated is not None

    def psnr(model: torch.nn.Module) -> float:
        return float(run.validator.run(model, 12, pictures=False).means["psnr_y"])

    assert psnr(run.state.model_ema) == validated.data["psnr_y"]
    assert psnr(run.state.model) != validated.data["psnr_y"]
    folder = prepared.paths.checkpoint(12)
    for file, model in ((folder.model, run.state.model), (folder.model_ema, run.state.model_ema)):
        saved = safetensors.torch.load_file(file)
        assert all(torch.equal(saved[name], tensor) for name, tensor in model.state_dict().items())


def test_a_resumed_run_has_its_ema_its_moments_and_its_random_state_again(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip)
    run.die_at(11)
    saved, _ = load_checkpoint(run.paths.checkpoint(10))
    again = Steered.resumed(run.paths)
    taken_up = again.context.state.capture(again.context.live)
    assert taken_up.step == 10
    for part in ("model", "model_ema"):
        assert all(torch.equal(getattr(saved, part)[name], getattr(taken_up, part)[name]) for name in saved.model)
    for part in ("optimizer", "random"):
        then, now = tensors(saved.rest[part]), tensors(taken_up.rest[part])
        assert len(then) == len(now) > 0
        assert all(torch.equal(a, b) for a, b in zip(then, now, strict=True))
    assert again.train() == "finished"


def test_no_code_puts_anything_on_cuda_without_being_told() -> None:
    """A validation with a hard-coded `cuda` would end every run on a CPU."""
    forced = re.compile(r"\.cuda\(\)|to\(\s*['\"]cuda|device\s*=\s*['\"]cuda['\"]\s*[,)]")
    found = [file for file in (ROOT / "vsrpp").rglob("*.py") if forced.search(file.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.slow
def test_paths_with_spaces_and_quotes_train_and_upscale(tmp_path: Path) -> None:
    clip = write_video(tmp_path / 'my clip\'s "best" (1).mkv', piece(24, 64, 96))
    from tests.support.processes import train_command

    done = vsrpp(tmp_path, *train_command(clip))
    assert done.returncode == 0, done.stderr
    out = tmp_path / "the  result of it.mp4"
    done = vsrpp(tmp_path, "upscale", "latest", str(clip), str(out))
    assert done.returncode == 0, done.stderr
    assert out.is_file()
