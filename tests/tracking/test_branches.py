"""After a rollback MLflow keeps the abandoned branch and the new one, distinguished by `run/branch`."""

from __future__ import annotations

from pathlib import Path

from tests.support.made_runs import made_run
from tests.support.servers import assert_same_rows, client_of, the_run
from vsrpp.tracking.sync import sync


def test_mlflow_keeps_both_branches_under_one_key(runs: Path, uri: str) -> None:
    run = made_run(runs, "branched1", steps=100, ended=False)
    run.rollback(100).train(60).end()
    assert sync(run.paths.root, uri).delivered
    assert_same_rows(uri, run.paths.run_db, "branched1")
    there, client = the_run(uri, "branched1").info.run_id, client_of(uri)
    rows = sorted((m.timestamp, m.step, m.value) for m in client.get_metric_history(there, "run/branch"))
    branches = {branch: [step for _, step, value in rows if value == branch] for branch in (0.0, 1.0)}
    assert max(branches[0.0]) == 200
    assert min(branches[1.0]) > 100
    assert set(branches[0.0]) & set(branches[1.0]), "the same steps, on both"
    steps = [m.step for m in client.get_metric_history(there, "loss/total")]
    assert len(steps) == len(branches[0.0]) + len(branches[1.0])
