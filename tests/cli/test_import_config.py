"""`vsrpp import-config`: the file it writes, its table and JSON document, its exit codes, and what it never loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config.test_import_options import BASICSR, MMAGIC
from vsrpp import config
from vsrpp.cli import main

LOADED = "import sys; from vsrpp.cli import main; main(sys.argv[1:]); print(*sorted(sys.modules), file=sys.stderr)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reds.yml").write_text(BASICSR)
    (tmp_path / "mine_2xb4.py").write_text(MMAGIC)
    return tmp_path


def test_it_writes_a_config_and_lists_what_became_of_every_option(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import-config", "reds.yml"]) == 0
    said = capsys.readouterr().out
    assert config.resolve(None, folder / "reds.vsrpp.yaml", {})[0]["network"] == "basicvsr"
    for title in ("Maps: ", "Differs in meaning: ", "Has no counterpart: ", "reds.vsrpp.yaml"):
        assert title in said
    assert "datasets.train.batch_size_per_gpu" in said
    assert main(["import-config", "reds.yml"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["import-config", "reds.yml", "--overwrite"]) == 0


def test_its_document_has_every_option(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-config", "mine_2xb4.py", "out.yaml", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["path"], document["config"]["batch_size"]) == ("mmagic", "out.yaml", 16)
    rows = [row for fate in ("maps", "differs", "none") for row in document[fate]]
    assert all(row.keys() == {"option", "value", "place", "config", "note"} for row in rows)
    assert {key for row in rows for key in row["config"]} == document["config"].keys() - {"preset"}
    assert len(document["not_read"]) == 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["none.yml"], 3),
        (["reds.yml", "--gpus", "0"], 2),
        (["reds.yml", "no/folder.yaml"], 1),
        ([], 2),
        (["note.txt"], 2),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    words: list[str], code: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "note.txt").write_text("a note\n")
    assert main(["import-config", *words]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(folder.glob("*.yaml"))


def test_train_names_the_command_for_such_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, kind in (("reds.yml", "BasicSR"), ("mine_2xb4.py", "mmagic")):
        assert main(["train", "--config", name]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"option file of {kind}" in line
        assert f"vsrpp import-config {name}" in line


def test_it_loads_neither_torch_nor_mlflow(folder: Path) -> None:
    command = [sys.executable, "-c", LOADED, "import-config", "reds.yml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True, timeout=240)
    assert not {"torch", "mlflow", "numpy"} & set(done.stderr.splitlines()[-1].split())
