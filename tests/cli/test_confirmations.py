"""`vsrpp set --yes` and `vsrpp rollback --yes`: the one face that confirms by an option."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.support.rank_0 import Rank0
from vsrpp import control
from vsrpp.api import Run
from vsrpp.cli import main


def while_it_steps(run: Rank0, *words: str) -> tuple[int, str | None]:
    """(exit code of a command, how the run ended) while the run makes steps."""
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(main(list(words))))
    thread.start()
    ended = None
    while thread.is_alive():
        ended = ended or run.step()
        if ended is not None:
            run.ending.close()
            break
    thread.join(60)
    return done[0], ended


def test_set_and_its_preview_refuse_to_end_the_run_and_yes_does_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Rank0(tmp_path, max_steps=10_000_000)
    for _ in range(3):
        run.step()
    run.status.show(now=True)
    folder = str(run.paths.root)
    try:
        assert main(["set", folder, "max_steps=2", "--dry-run"]) == 2
        assert "this ends the run now, at step 3" in capsys.readouterr().err
        assert main(["set", folder, "max_steps=2", "--dry-run", "--yes"]) == 0
        assert "this ends the run now, at step 3" in capsys.readouterr().out
        assert Run(folder).preview(max_steps=2).errors and not Run(folder).preview(max_steps=2, confirmed=True).errors

        code, ended = while_it_steps(run, "set", folder, "max_steps=2")
        said = capsys.readouterr().err
        assert (code, ended) == (2, None) and control.status(run.paths)["config"]["max_steps"] == 10_000_000
        assert "vsrpp stop run" in said and "vsrpp set run max_steps=2 --yes" in said

        code, ended = while_it_steps(run, "set", folder, "max_steps=2", "--yes", "--json")
        document = json.loads(capsys.readouterr().out)
        assert (code, ended, document["status"]) == (0, "finished", "applied")
        assert document["warnings"][0].startswith("this ends the run now, at step ")
        assert main(["set", folder, "max_steps=5"]) == 4
        assert "vsrpp train --resume run --set max_steps=N" in capsys.readouterr().err
    finally:
        run.close()
