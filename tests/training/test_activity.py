"""Layer activity: measured only on request, follows its formula, and works under autocast, torch.compile and DDP."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.processes import ROOT, environment
from tests.support.runs import Steered
from vsrpp import models
from vsrpp.store import RunReader
from vsrpp.training.activity import Activity, adam_momentum

NETWORK = {"network": "vsrpp", "n_feats": 4, "n_blocks": 2, "scale": 2}
COUNTS = {"backward": 2, "forward": 2, "fusion": 3}
LAYERS = {f"activity/{stream}.{number}" for stream, count in COUNTS.items() for number in range(count)}


def network() -> nn.Module:
    torch.manual_seed(0)
    return models.build(NETWORK)


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_activity_is_what_a_block_adds_over_what_it_is_given() -> None:
    class Adds(nn.Module):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return given + 0.5 * given

    block = Adds()
    activity = Activity({"backward.0": block})
    with activity.watching(True):
        block(torch.randn(2, 3))
        block(torch.randn(2, 3))
    assert activity.values()["activity/backward.0"] == pytest.approx(0.5, rel=1e-5)
    assert activity.values() == {}


def test_a_block_that_returns_several_tensors_is_measured_by_its_first() -> None:
    class Splits(nn.Module):
        def forward(self, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return 2 * given, given.sum()

    block = Splits()
    activity = Activity({"fusion.0": block})
    with activity.watching(True):
        block(torch.randn(2, 3))
    assert activity.values() == {"activity/fusion.0": pytest.approx(1.0, rel=1e-5)}


def test_between_rows_there_is_no_hook_and_nothing_is_computed() -> None:
    model = network()
    activity = Activity(model.blocks())  # type: ignore[operator]
    with activity.watching(False):
        assert hooks(model) == 0
        model(torch.rand(1, 2, 3, 8, 8))
    assert activity.values() == {}
    with activity.watching(True):
        assert hooks(model) == len(LAYERS)
    assert hooks(model) == 0


def test_a_failing_forward_leaves_no_hook() -> None:
    model = network()
    with pytest.raises(RuntimeError), Activity(model.blocks()).watching(True):  # type: ignore[operator]
        model(torch.rand(1, 2, 5, 8, 8))
    assert hooks(model) == 0


def test_watching_changes_no_bit_of_output_or_gradient() -> None:
    model, pictures, found = network(), torch.rand(1, 2, 3, 8, 8), []
    activity = Activity(model.blocks())  # type: ignore[operator]
    for on in (False, True):
        model.zero_grad()
        with activity.watching(on):
            output = model(pictures)
        output.square().mean().backward()
        found.append([output.detach(), *(parameter.grad.clone() for parameter in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_activity_under_autocast_is_near_that_in_fp32() -> None:
    model, pictures = network(), torch.rand(1, 2, 3, 16, 16)
    activity, found = Activity(model.blocks()), []  # type: ignore[operator]
    for on in (False, True):
        with activity.watching(True), torch.autocast("cpu", torch.bfloat16, enabled=on):
            model(pictures)
        found.append(activity.values())
    assert set(found[0]) == set(found[1]) == LAYERS
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, rel=0.1, abs=0.02), name


def test_a_bf16_run_records_activity(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, precision="bf16", max_steps=2)
    run.train()
    with RunReader(run.paths.run_db) as reader:
        row = {r.key: r.value for r in reader.metrics() if r.step == 2}
    assert math.isfinite(row["activity/backward.0"]) and row["activity/backward.0"] > 0


@pytest.mark.slow
def test_a_compiled_network_is_measured_too_and_stays_compiled_in_between() -> None:
    model, pictures = network(), torch.rand(1, 2, 3, 8, 8)
    plain = Activity(model.blocks())  # type: ignore[operator]
    with plain.watching(True):
        model(pictures)
    expected, traced = plain.values(), []

    def backend(graph, _inputs):  # type: ignore[no-untyped-def]
        def run(*given):  # type: ignore[no-untyped-def]
            traced.append(1)
            return graph.forward(*given)

        return run

    compiled = torch.compile(model, backend=backend)
    compiled(pictures)
    assert traced
    activity = Activity(model.blocks())  # type: ignore[operator]
    with activity.watching(True):
        compiled(pictures)
    assert activity.values() == pytest.approx(expected)
    before = len(traced)
    with activity.watching(False):
        compiled(pictures)
    assert len(traced) > before and activity.values() == {}


DDP = """
import os, sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from vsrpp import models
from vsrpp.training.activity import Activity
rank, port = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{port}", rank=rank, world_size=2)
torch.manual_seed(0)
model = models.build({"network": "vsrpp", "n_feats": 4, "n_blocks": 2, "scale": 2})
wrapped, activity = DistributedDataParallel(model), Activity(model.blocks())
for step in range(4):
    wrapped.zero_grad()
    with activity.watching(step == 2 and rank == 0):
        output = wrapped(torch.rand(1, 2, 3, 8, 8, generator=torch.Generator().manual_seed(rank)))
    output.square().mean().backward()
    print(step, len(activity.values()), f"{next(model.parameters()).grad.sum():.9g}", flush=True)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ddp_processes_of_which_one_watches_stay_in_step(tmp_path: Path) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", DDP, str(rank), str(tmp_path / "rendezvous")], cwd=ROOT, env=environment(tmp_path),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=240) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said[0][1] + said[1][1]
    rows = [[line.split() for line in out.splitlines()] for out, _ in said]
    assert [row[1] for row in rows[0]] == ["0", "0", str(len(LAYERS)), "0"]
    assert [row[1] for row in rows[1]] == ["0"] * 4
    assert [row[2] for row in rows[0]] == [row[2] for row in rows[1]], "the same averaged gradient on both"


def test_momentum_is_one_for_a_steady_gradient_and_small_for_one_that_turns() -> None:
    found = []
    for turns in (False, True):
        weight = nn.Parameter(torch.zeros(64))
        optimizer = torch.optim.AdamW([weight], lr=1e-3, betas=(0.9, 0.99))
        assert math.isnan(adam_momentum(optimizer))
        for step in range(200):
            weight.grad = torch.full((64,), -1.0 if turns and step % 2 else 1.0)
            optimizer.step()
        found.append(adam_momentum(optimizer))
    assert found[0] == pytest.approx(1.0, abs=1e-3) and found[1] < 0.1
