"""A run with a signing key, through a kill, a resume, a replay and a new run from its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.keys import write_key
from tests.support.reasons import raises
from tests.support.runs import Steered
from vsrpp import control
from vsrpp.launch.request import RankCommand, TrainRequest
from vsrpp.launch.run_configs import StartSource, resolve
from vsrpp.store import RunReader, messages
from vsrpp.store.signing import read_verifier
from vsrpp.training.replay import Original, replay


def test_a_signed_run_is_signed_to_its_end_and_needs_its_key_only_to_go_on(tmp_path: Path, tiny_clip: Path) -> None:
    key = tmp_path / "key.pem"
    verifier = read_verifier(write_key(key))
    run = Steered.new(tmp_path / "runs", tiny_clip, {3: lambda r: r.edit(max_lr=5e-4)}, signing_key=str(key))
    run.die_at(11)
    away = key.rename(tmp_path / "away.pem")
    with raises(messages.SIGNED_RUN, run=run.paths.run_id, path=key):
        Steered.resumed(run.paths)
    away.rename(key)
    assert Steered.resumed(run.paths).train() == "finished"
    key.unlink()

    check = control.verify_signatures(run.paths, verifier)
    assert (check.ok, check.why) == (True, "")
    assert control.checkpoint_steps(run.paths) == [10, 12]
    started = control.history(run.paths)[0].data
    assert started["signing"] == {"public_key": verifier.public_key}
    assert "PRIVATE" not in json.dumps(started)

    verdict = replay(Original.of(run.paths), tmp_path / "replay")
    assert verdict.identical
    with RunReader(tmp_path / "replay" / verdict.replayed_run_id / "run.db") as reader:
        assert reader.signatures() == {}

    source = StartSource.of(str(run.paths.checkpoint(10).root), tmp_path / "runs")
    command = RankCommand(module="vsrpp", arguments=("train",))
    run_config, _ = resolve(TrainRequest(source=source.lineage["source"], rank_command=command), source)
    assert run_config["signing_key"] is None
    assert run_config["mlflow_tags"] == "all"
