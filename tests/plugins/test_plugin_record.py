"""The record of a run's plug-ins: written, read, and opened again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.plugins import loss, write
from tests.support.reasons import raises
from vsrpp.config import messages as config_messages
from vsrpp.plugins import messages, naming, record, registry, trust
from vsrpp.plugins import source as sources


class Recorded:
    """A plug-in's record as a run has it, of a file that is not loaded in this process."""

    def __init__(self, here: Path, text: str, folder: Path, **files: str) -> None:
        self.file, self.folder = write(here, text), folder
        for name, content in files.items():
            write(here, content, f"{name}.py")
        found = sources.of_file(self.file)
        texts = {name: content.decode() for name, content in found.files.items()}
        self.sha256 = found.sha256
        self.provides: dict[str, Any] = {"kind": "loss", "name": "mine", "attribute": "term", "colour": "#123456"}
        self.run_config: dict[str, Any] = {"plugins": [{
            "source": found.name, "module": "", "path": str(self.file), "sha256": found.sha256, "distribution": None,
            "files": found.digests, "provides": [self.provides],
        }]}  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        record.write({found.sha256: {"source": found.name, "files": texts}}, folder)

    def reopen(self, **options: Any) -> list[dict[str, Any]]:
        self.said: list[str] = []
        return record.reopen(
            self.run_config, record.read(self.folder), self.folder, say=self.said.append, **options
        )  # fmt: skip


@pytest.fixture
def recorded(here: Path, tmp_path: Path) -> Recorded:
    return Recorded(here, loss("mine"), tmp_path / "run")


def test_what_was_loaded_is_written_and_read_again(here: Path, tmp_path: Path) -> None:
    write(here, "import kept_helper\n" + loss("kept"))
    write(here, "x = 'ä'\n", "kept_helper.py")
    records, _ = naming.load([naming.by_option("extras.py")], [here])
    texts = record.sources({"plugins": records})
    record.write(texts, tmp_path)
    assert record.read(tmp_path) == texts
    assert list(texts[records[0]["sha256"]]["files"]) == ["extras.py", "kept_helper.py"]
    assert record.reopen({"plugins": records}, texts, tmp_path, exact=True) == records
    assert record.read(here) == {}
    record.write({}, here)
    assert not (here / record.FILE).exists()
    with raises(messages.NOT_LOADED):
        record.sources({"plugins": [{**records[0], "sha256": "0" * 64}]})


def test_an_unchanged_file_is_used_where_it_is(recorded: Recorded) -> None:
    trust.remember(recorded.sha256, str(recorded.file))
    assert recorded.reopen(exact=True) == recorded.run_config["plugins"]
    loaded = registry.source_of(recorded.sha256)
    assert loaded is not None
    assert loaded.main == recorded.file


def test_the_record_stands_in_for_a_file_that_was_removed(recorded: Recorded, tmp_path: Path) -> None:
    trust.remember(recorded.sha256, str(recorded.file))
    recorded.file.unlink()
    assert recorded.reopen(exact=True) == recorded.run_config["plugins"]
    loaded = registry.source_of(recorded.sha256)
    assert loaded is not None
    assert loaded.root == tmp_path / "cache" / "plugins" / recorded.sha256
    (recorded.folder / record.FILE).unlink()
    with raises(messages.NO_SOURCE, source="extras.py", path=str(recorded.file)):
        recorded.reopen(exact=True)


def test_a_changed_file_is_refused_where_bits_must_be_the_same(recorded: Recorded) -> None:
    trust.remember(recorded.sha256, str(recorded.file))
    recorded.file.write_text(recorded.file.read_text().replace(".abs()", ".square()"))
    with raises(messages.CHANGED, difference="extras.py, line 6 differs"):
        recorded.reopen(exact=True)
    now = sources.of_file(recorded.file).sha256
    (allowed,) = recorded.reopen(exact=True, allow_changed=True)
    assert (allowed["sha256"], allowed["files"]) == (now, {"extras.py": now})
    assert "line 6 differs" in recorded.said[0]
    assert trust.is_trusted(now)


def test_a_new_run_uses_the_file_as_it_is_and_an_evaluation_the_record(recorded: Recorded) -> None:
    trust.remember(recorded.sha256, str(recorded.file))
    recorded.file.write_text(recorded.file.read_text().replace('label="mine"', 'label="Mine now"'))
    now = sources.of_file(recorded.file).sha256
    (current,) = recorded.reopen(current=True)
    assert (current["sha256"], current["provides"][0]["label"]) == (now, "Mine now")
    assert len(recorded.said) == 1
    (evaluated,) = recorded.reopen()
    assert (evaluated["sha256"], recorded.said) == (recorded.sha256, [])
    recorded.file.write_text("def broken(:\n")
    assert recorded.reopen() == [evaluated]
    with raises(messages.NOT_IMPORTED, where=f"{recorded.file}:1"):
        recorded.reopen(exact=True)


def test_nothing_runs_that_nobody_here_has_named(here: Path, tmp_path: Path) -> None:
    marked = Recorded(here, "from pathlib import Path\nPath('ran').touch()\n" + loss("mine"), tmp_path / "run")
    for options in ({}, {"exact": True}, {"current": True}, {"exact": True, "allow_changed": True}):
        with raises(messages.NOT_TRUSTED, sha256=marked.sha256, file=marked.file):
            marked.reopen(**options)
    marked.file.unlink()
    unpacked = tmp_path / "cache" / "plugins" / marked.sha256 / "extras.py"
    with raises(messages.NOT_TRUSTED, sha256=marked.sha256, file=unpacked):
        marked.reopen(exact=True)
    assert unpacked.read_text().startswith("from pathlib")  # for a person to read
    assert not (here / "ran").exists()
    trust.allow([marked.sha256])
    marked.reopen(exact=True)
    assert (here / "ran").exists()


def test_changed_code_of_a_record_from_elsewhere_is_not_trusted_either(recorded: Recorded) -> None:
    recorded.file.write_text(recorded.file.read_text() + "x = 1\n")
    with raises(messages.NOT_TRUSTED, sha256=sources.of_file(recorded.file).sha256):
        recorded.reopen(current=True)


def test_a_trusted_sha256_does_not_open_the_way_to_a_file_that_the_record_names(recorded: Recorded, here: Path) -> None:
    """A record from elsewhere with the SHA-256 of a known plug-in, and the path of what came with it."""
    trust.remember(recorded.sha256, str(recorded.file))
    write(here, "from pathlib import Path\nPath('ran').touch()\n" + loss("mine"), "evil.py")
    recorded.run_config["plugins"][0]["path"] = "/proc/self/cwd/evil.py"
    for options in ({"current": True}, {"exact": True, "allow_changed": True}):
        with raises(messages.NOT_TRUSTED):
            recorded.reopen(**options)
    assert not (here / "ran").exists()


DAMAGE = [
    lambda document: "{",
    lambda document: "[]",
    lambda document: json.dumps({"format": 1}),
    lambda document: json.dumps(document).replace("abs", "sum"),
    lambda document: json.dumps(document).replace("return", "\\ud800"),
    lambda document: json.dumps({**document, "plugins": dict.fromkeys(document["plugins"], 3)}),
    lambda document: json.dumps(document).replace('"files": {', '"files": {"../../x.py": "", '),
    lambda document: json.dumps(document).replace("extras.py", "/tmp/extras.py"),
]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_a_damaged_record_is_found_and_nothing_of_it_written(recorded: Recorded, damage: Any, tmp_path: Path) -> None:
    trust.remember(recorded.sha256, str(recorded.file))
    recorded.file.unlink()
    file = recorded.folder / record.FILE
    file.write_text(damage(json.loads(file.read_text())))
    with raises(messages.BAD_SOURCES, file=file):
        recorded.reopen()
    assert not (tmp_path / "cache" / "plugins").exists()


def test_what_is_in_the_chain_needs_no_file(recorded: Recorded) -> None:
    texts = record.read(recorded.folder)
    (recorded.folder / record.FILE).write_text("{")
    assert record.texts_of({"plugin_sources": texts}, {}, recorded.folder) == texts
    with raises(messages.BAD_SOURCES):
        record.texts_of({}, {"plugin_sources": []}, recorded.folder)


HOSTILE: list[tuple[dict[str, Any], Any]] = [
    ({"source": "/tmp/evil.py"}, config_messages.PLUGIN_RECORD),
    ({"source": "../evil.py"}, config_messages.PLUGIN_RECORD),
    ({"module": "os"}, config_messages.PLUGIN_RECORD),
    ({"files": {"../evil.py": "0" * 64}}, config_messages.PLUGIN_RECORD),
    ({"files": {"extras.py": "0" * 64, "x\x1b[2J.py": "0" * 64}}, config_messages.PLUGIN_RECORD),
    ({"files": {"extras.py": "0" * 64, "x" * 300 + ".py": "0" * 64}}, config_messages.PLUGIN_RECORD),
    ({"sha256": "x"}, config_messages.PLUGIN_RECORD),
]


@pytest.mark.parametrize(("change", "reason"), HOSTILE, ids=str)
def test_a_record_with_impossible_names_is_refused(recorded: Recorded, change: dict[str, Any], reason: Any) -> None:
    trust.remember(recorded.sha256, str(recorded.file))
    recorded.run_config["plugins"][0] |= change
    with raises(reason):
        recorded.reopen()


TEXT = {"type": "string", "default": "touch ran"}
FOREIGN: list[tuple[dict[str, Any], str]] = [
    (
        {"kind": "detector", "attribute": "subprocess.Popen", "parameters": {"args": TEXT}},
        "subprocess.Popen is declared otherwise",
    ),
    ({"kind": "detector", "attribute": "os.abort"}, "it provides no detector os.abort"),
    ({"kind": "network", "attribute": "os.getcwd", "takes": ["args"]}, "it provides no network os.getcwd"),
    ({"kind": "network", "attribute": "Net", "takes": ["n_feats", "data"]}, "Net takes other keys"),
    ({"attribute": "subprocess.run"}, "it provides no loss subprocess.run"),
    ({"attribute": "missing"}, "it provides no loss missing"),
    ({"name": "other"}, "term is declared otherwise"),
    ({"kind": "detector"}, "it provides no detector term"),
    ({"parameters": {"extra": TEXT}}, "term is declared otherwise"),
]


@pytest.mark.parametrize(("change", "why"), FOREIGN, ids=str)
def test_a_trusted_plugin_does_not_open_the_way_to_what_it_imports(
    here: Path, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    text = "import os, subprocess\nclass Net:\n    def __init__(self, scale, n_feats): ...\n" + loss("mine")
    recorded = Recorded(here, text, tmp_path / "run")
    trust.remember(recorded.sha256, str(recorded.file))
    recorded.provides |= {"name": "mine" if "kind" not in change else "extras.py:x", **change}
    with raises(messages.OTHER_RECORD, why=why):
        recorded.reopen()
    assert not (here / "ran").exists()
