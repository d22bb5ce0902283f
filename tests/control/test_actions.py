"""The answers to commands for a run that cannot act on them now, or has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vsrpp import config, control
from vsrpp.errors import NotLive
from vsrpp.paths import RunPaths
from vsrpp.store import RunWriter


def a_run(root: Path, **state: Any) -> RunPaths:
    root.mkdir()
    run_config, live = config.defaults("base")
    paths = RunPaths(root)
    writer = RunWriter(paths.run_db, root.name)
    writer.append("started", step=0, branch=0, revision=0, data={"run_config": run_config, "config": live})
    if state.get("state") == "finished":
        writer.append("finished", step=9, branch=0, revision=0)
    writer.set_state({"step": 9, "process": control.process_identity(), **state})
    writer.close()
    return paths


def test_who_waits_for_a_probation_is_told_so(tmp_path: Path) -> None:
    trial = {"until_step": 59, "revert_if": "loss > 2x", "revision": 3}
    on_trial = a_run(tmp_path / "trial", state="training", probation=trial)
    why = "revision 3 is on probation until step 59, and before that only pause, resume and stop act"
    said = control.command(on_trial, "checkpoint", origin="cli", wait_s=0.0)
    assert (said.status, said.message) == (
        "pending",
        f"no answer within 0 s; the command is still pending: {why}",
    )
    plain = a_run(tmp_path / "plain", state="training")
    assert "probation" not in control.command(plain, "checkpoint", origin="cli", wait_s=0.0).message


@pytest.mark.parametrize(("kind", "what"), [("rollback", "roll back"), ("validate", "validate")])
def test_a_run_that_is_over_is_answered_with_the_command_that_goes_on(tmp_path: Path, kind: str, what: str) -> None:
    finished = a_run(tmp_path / "done", state="finished")
    with pytest.raises(NotLive) as over:
        control.command(finished, kind, origin="cli")
    assert over.value.reason_code == "not_live.finished"
    assert over.value.fields == {"run": "done", "action": what}
    assert str(over.value).endswith("vsrpp train --from done")
