"""Invalid input through MLflow's tags, on a real training: each tag gets its reason, and the weights do not change."""

from __future__ import annotations

import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import TrainingProcess, environment, train_command, vsrpp
from tests.support.runs import TINY
from tests.support.servers import client_of, runs_of, wait_until
from vsrpp import Run, control

SETS = {"max_steps": 300, "log_every": 50, "validate_every": 300, "checkpoint_every": 300}

BAD_EDITS: list[tuple[str, str]] = [
    *(("max_lr", text) for text in (
        "nan", "-inf", "1e999", "5e-324", "-1", "0.5", "0x10", "", " ", "2e-4x", "1,5e-4", "2e-4 3e-4", "true", "[2e-4]",
        '{"max_lr": 2e-4}', "null", "9" * 5000, "x" * 7000, "zwei", "２e-4½", "2e-4\nmax_lr=3e-4", "🙂", "'; DROP TABLE tags; --",
    )),
    ("max_rl", "1e-4"), ("MAX_LR", "1e-4"), ("config/max_lr", "1e-4"), ("max_lr ", "0.5"), ("n_feats", "8"), ("seed", "1"),
    ("network", "vsrpp"), ("revision", "3"), ("x" * 200, "1"), ("l1_weight", "0.9"), ("l1_weight", "0.6502"),
    ("perceptual_weight", "0.1"), ("adaptive", "maybe"), ("plateau_action", "explode"), ("log_every", "2.5"),
    ("max_steps", "0"), ("min_lr", "2e-4"), ("plateau_patience", "900"), ("grad_clip", "off"),
]  # fmt: skip
"""(key, value): each a tag `vsrpp.set.<key>`."""
BAD_COMMANDS = [
    "", " \n", "dance", "rollback", "rollback -5", "rollback 1e3", "rollback ½", "rollback 7", "rollback 99999999999",
    "rollback best best", "stop now", "stop; pause", "pause!", "resume pause", "checkpoint 5", "validate now",
    "max_lr=1e-4", "null", "{}", "x" * 7000, "停止",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bad_tags_are_each_answered_with_why_and_training_is_unharmed(
    tmp_path: Path, tiny_clip: Path, empty_store: Path
) -> None:
    from mlflow.entities import RunTag

    calm, bad = tmp_path / "calm", tmp_path / "bad"
    for folder in (calm, bad):
        folder.mkdir()
        shutil.copy(empty_store, folder / "mlflow.db")
    with TrainingProcess(calm, train_command(tiny_clip, **SETS)) as process:
        assert process.wait(300) == 0, process.output
    with TrainingProcess(bad, train_command(tiny_clip, **SETS)) as process:
        run = Run(process.run_dir())
        assert run.pause().status == "done", process.output
        uri = environment(bad)["MLFLOW_TRACKING_URI"]
        client = client_of(uri)
        there = wait_until(lambda: runs_of(uri, run.run_id), 120, "the MLflow run")[0].info.run_id

        def tags() -> dict[str, str]:
            return dict(client.get_run(there).data.tags)

        answers = 0
        for edit, command in zip_longest(BAD_EDITS, BAD_COMMANDS):
            asked = [RunTag(f"vsrpp.set.{edit[0]}", edit[1])] if edit else []
            asked += [RunTag("vsrpp.do", command)] if command is not None else []
            client.set_tag(there, "vsrpp.last_command", "")
            client.log_batch(there, tags=asked)  # in one transaction, so that one poll finds them together
            said = wait_until(lambda: complete(tags()), 120, f"an answer to {asked}")
            assert said.count("refused") >= len(asked), (asked, said)
            assert "\n" not in said
            assert len(said) < 4000, said
            answers += len(asked)
        left = [key for key in tags() if key.startswith("vsrpp.set") or key == "vsrpp.do"]
        assert left == []
        assert run.config()["max_lr"] == TINY["max_lr"]
        assert run.resume().status == "done", process.output
        assert process.wait(300) == 0, process.output
    print(f"bad input by MLflow's tags: {answers}")
    assert answers >= 60
    assert run.status().revision == 0
    assert control.verify(run.paths).ok
    undisturbed = next((calm / "runs").glob("*/checkpoints/step_0000300/model.safetensors")).read_bytes()
    assert run.paths.checkpoint(300).model.read_bytes() == undisturbed
    assert vsrpp(bad, "history", run.run_id).returncode == 0


def complete(tags: dict[str, Any]) -> str | None:
    """The answer, once it is complete."""
    said = str(tags.get("vsrpp.last_command", ""))
    asked = [key for key in tags if key.startswith("vsrpp.set") or key == "vsrpp.do"]
    return said if said and not asked and "waiting" not in said else None
