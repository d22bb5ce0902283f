from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from vsrpp.errors import NotFound
from vsrpp.store import RunReader, RunWriter
from vsrpp.store.db import file_system_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


@pytest.fixture
def writer(tmp_path: Path):
    made = RunWriter(tmp_path / "run.db", "r1")
    yield made
    made.close()


def test_a_reader_sees_rows_while_the_writer_goes_on(writer: RunWriter) -> None:
    with RunReader(writer.path) as reader:
        writer.record(1, 0, {"lr": 0.1, "loss/total": 2.0})
        assert {row.key: row.value for row in reader.metrics()} == {"lr": 0.1, "loss/total": 2.0}
        version = reader.data_version()
        writer.record(2, 0, {"lr": 0.2})
        assert reader.data_version() != version
        assert [row.step for row in reader.series("lr")] == [1, 2]


def test_a_row_written_twice_stays_as_it_was(writer: RunWriter) -> None:
    writer.record(1, 0, {"lr": 0.1}, at=5.0)
    writer.record(1, 0, {"lr": 0.9}, at=6.0)
    (row,) = writer.metrics()
    assert (row.value, row.time) == (0.1, 5.0)


def test_a_replaced_row_gets_a_new_id_and_an_equal_one_stays(writer: RunWriter) -> None:
    writer.record(0, 0, {"config/max_lr": 0.1}, replace=True)
    first = writer.newest_metric_id()
    writer.record(0, 0, {"config/max_lr": 0.1}, replace=True)
    assert writer.newest_metric_id() == first
    writer.record(0, 0, {"config/max_lr": 0.2}, replace=True)
    (row,) = writer.metrics(after_id=first)
    assert row.value == 0.2


def test_nan_and_infinity_survive(writer: RunWriter) -> None:
    writer.record(1, 0, {"a": math.nan, "b": math.inf, "c": -math.inf})
    values = {row.key: row.value for row in writer.metrics()}
    assert math.isnan(values["a"])
    assert (values["b"], values["c"]) == (math.inf, -math.inf)


def test_the_same_step_of_another_branch_is_another_row(writer: RunWriter) -> None:
    writer.record(7, 0, {"lr": 0.1})
    writer.record(7, 1, {"lr": 0.2})
    assert [(row.branch, row.value) for row in writer.series("lr")] == [(0, 0.1), (1, 0.2)]
    assert writer.latest()["lr"].value == 0.2


def test_what_json_cannot_hold_is_made_readable_in_an_event(writer: RunWriter) -> None:
    event = writer.append("config_refused", step=0, branch=0, revision=0, data={"changes": {"max_lr": math.nan}})
    assert event.data["changes"]["max_lr"] == "nan"
    assert writer.verify().ok


@settings(max_examples=60, deadline=None)
@given(
    data=st.dictionaries(
        TEXT,
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXT,
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    ),
    at=st.floats(0, 4e9),
)  # fmt: skip
def test_any_event_reads_back_as_it_was_and_the_chain_holds(tmp_path_factory, data, at) -> None:
    path = tmp_path_factory.mktemp("run") / "run.db"
    writer = RunWriter(path, "r")
    written = writer.append("failed", step=1, branch=0, revision=0, reason="x", data=data, at=at)
    writer.close()
    with RunReader(path) as reader:
        assert next(iter(reader.events())) == written
        assert reader.verify().ok


def test_an_event_survives_kill_9_right_after_it_is_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    code = (
        "import sys, itertools\nfrom pathlib import Path\nfrom vsrpp.store import RunWriter\n"
        "writer = RunWriter(Path(sys.argv[1]), 'r1')\n"
        "for step in itertools.count():\n"
        "    writer.record(step, 0, {'lr': float(step)})\n"
        "    print(writer.append('paused', step=step, branch=0, revision=0).seq, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(40)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    with RunReader(path) as reader:
        assert reader.verify().ok
        assert [event.seq for event in reader.events()][: len(acknowledged)] == acknowledged
    again = RunWriter(path)
    again.append("resumed", step=0, branch=0, revision=0)
    assert again.verify().ok
    again.close()


def test_a_missing_record_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        RunReader(tmp_path / "run.db")


def test_a_second_process_reads_a_record_whose_writer_is_gone(writer: RunWriter) -> None:
    writer.append("paused", step=3, branch=0, revision=0)
    code = f"from pathlib import Path\nfrom vsrpp.store import RunReader\nprint(RunReader(Path({str(writer.path)!r})).head()[0])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("path", "kind"), [("/data/nfs/runs", "nfs4"), ("/data/other", "ext4"), ("/data/nfsx", "ext4"), ("/home/a b/x", "fuse.sshfs")]
)  # fmt: skip
def test_the_file_system_is_that_of_the_longest_mount_above_a_path(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/vda / ext4 rw 0 0\nserver:/x /data/nfs nfs4 rw 0 0\nme@host: /home/a\\040b fuse.sshfs rw 0 0\n"
    )
    assert file_system_of(Path(path), mounts) == kind


def test_on_a_network_file_system_a_rollback_journal_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsrpp.store.db.file_system_of", lambda _path: "nfs4")
    writer = RunWriter(tmp_path / "run.db", "r1")
    with closing(sqlite3.connect(writer.path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    writer.append("paused", step=0, branch=0, revision=0)
    with RunReader(writer.path) as reader:
        assert wait_until(lambda: reader.head()[0] == 1)
    writer.close()
