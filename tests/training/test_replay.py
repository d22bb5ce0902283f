"""A steered run is reproducible: its record alone yields bit-identical weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import Steered
from vsrpp.errors import Refused
from vsrpp.training.replay import Original, replay


def steered(tmp_path: Path, clip: Path, **sets) -> Steered:
    """A run edited twice by hand, validated by hand, put on probation and rolled back once."""

    def trial(run: Steered) -> None:
        payload = {"changes": {"grad_clip": 9.0}, "probation": {"steps": 4, "revert_if": "loss > 1e-9x"}}
        run.inbox.put("edit", payload, origin="cli")

    run = Steered.new(
        tmp_path / "runs", clip,
        {3: lambda r: r.edit(max_lr=5e-4), 5: lambda r: r.ask("validate"), 13: lambda r: r.edit(l1_weight=0.5, grad_weight=0.3),
         16: lambda r: r.ask("rollback", step=10), 12: trial},
        max_steps=22, log_every=1, **sets,
    )  # fmt: skip
    assert run.train() == "finished"
    return run


def test_a_run_edited_tried_and_rolled_back_replays_identical(tmp_path: Path, tiny_clip: Path) -> None:
    run = steered(tmp_path, tiny_clip)
    verdict = replay(Original.of(run.paths), tmp_path / "replay")
    assert verdict.first_difference is None
    assert verdict.identical
    assert verdict.sha256 == verdict.original_sha256
    assert verdict.step == 22


def test_leaving_one_edit_out_is_found_at_the_step_after_it(tmp_path: Path, tiny_clip: Path) -> None:
    run = steered(tmp_path, tiny_clip)
    original = Original.of(run.paths)
    left_out = next(e for e in original.events if e.type == "config_applied" and e.step == 3)
    original.events.remove(left_out)
    verdict = replay(original, tmp_path / "replay")
    assert not verdict.identical
    assert verdict.first_difference is not None
    assert verdict.first_difference["step"] == 4
    assert "lr was" in verdict.first_difference["what"]


def test_a_run_that_was_killed_and_resumed_replays_identical(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path / "runs", tiny_clip, {4: lambda r: r.edit(max_lr=5e-4)}, max_steps=20)
    run.die_at(14)
    Steered.resumed(run.paths, {17: lambda r: r.edit(grad_clip=0.2)}).train()
    assert replay(Original.of(run.paths), tmp_path / "replay").identical


def test_other_threads_and_other_data_are_named_as_likely_causes(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path / "runs", tiny_clip)
    run.train()
    original = Original.of(run.paths)
    started = original.events[0]
    started.data["data_fingerprint"] = "other"
    started.data["versions"] |= {"torch": "1.0", "pillow": "2.0"}
    del started.data["versions"]["av"]  # as in a record older than this field
    said: list[str] = []
    verdict = replay(original, tmp_path / "replay", say=said.append)
    assert verdict.identical, "here nothing differs but the record's word"
    assert any("torch was 1.0" in line for line in said)
    assert any("pillow was 2.0 and is" in line for line in said)
    assert not any("av was" in line for line in said)
    assert any("the data has changed" in line for line in said)


def test_a_run_without_a_checkpoint_has_nothing_to_replay(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path / "runs", tiny_clip)
    original = Original.of(run.paths)
    run.train()
    with pytest.raises(Refused, match="no checkpoint on record"):
        replay(original, tmp_path / "replay")
