"""Out of memory: recognised, recorded, and answered with sizes that fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.runs import AlteredBatches, Steered
from vsrpp import config, control, models
from vsrpp.errors import VsrppError, out_of_memory
from vsrpp.training import memory

CPU = torch.device("cpu")
CPU_ERROR = (
    "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError(), RuntimeError(CPU_ERROR)],
)
def test_a_run_out_of_memory_says_so_and_what_would_fit_in_one_line(tmp_path: Path, tiny_clip: Path, error) -> None:
    def fail(*_: Any) -> Any:
        raise error

    run = Steered.new(tmp_path, tiny_clip, batch_size=4, num_frames=4)
    AlteredBatches(run.context, fail)
    with pytest.raises(
        VsrppError, match=r"^out of memory on cpu with batch_size 4, num_frames \d+, crop_size \d+"
    ) as caught:
        run.train()
    line = str(caught.value)
    assert "\n" not in line
    for change in ("gradient_checkpointing=true", "accumulate=", "batch_size=", "num_frames=", "crop_size="):
        assert change in line, change
    assert run.types()[-2:] == ["out_of_memory", "failed"]
    assert control.status(run.paths)["state"] == "failed"


def test_another_error_is_not_taken_for_it() -> None:
    assert not out_of_memory(RuntimeError("shapes do not match"))
    assert not out_of_memory(ValueError("out of memory"))


def test_what_is_named_fits_and_the_next_milder_one_does_not() -> None:
    run_config, _ = config.resolve("base", None, {"batch_size": 8, "device": "cuda"})
    whole = models.step_cost(run_config).memory_bytes
    line = memory.advice(run_config, CPU, whole // 3)
    found = dict(re.findall(r"(\w+)=(\w+) \(", line))
    assert found["accumulate"] == "4"
    assert found["batch_size"] == "2"
    assert models.step_cost({**run_config, "accumulate": 4}).memory_bytes <= whole // 3
    assert models.step_cost({**run_config, "accumulate": 2}).memory_bytes > whole // 3
    assert int(found["crop_size"]) % run_config["scale"] == 0


def test_an_estimate_that_was_enough_is_raised_to_what_was_not() -> None:
    run_config, _ = config.resolve("base", None, {"batch_size": 8})
    has = 10 * models.step_cost(run_config).memory_bytes
    assert "accumulate=2" in memory.advice(run_config, CPU, has)


def test_where_no_single_change_is_enough_it_says_so() -> None:
    run_config, _ = config.resolve("base", None, {})
    assert "no single change makes it fit" in memory.advice(run_config, CPU, 2**20)


@pytest.mark.parametrize("network", ["vsrpp", "basicvsr", "basicvsrpp"])
def test_checkpointing_and_parts_lower_the_estimate(network: str) -> None:
    run_config, _ = config.resolve("base", None, {"network": network, "num_frames": 7})
    whole, saving, parts = (
        models.step_cost({**run_config, **sets}).memory_bytes
        for sets in ({}, {"gradient_checkpointing": True}, {"accumulate": 8})
    )
    assert saving < 0.75 * whole
    assert parts < 0.25 * whole
