"""Flaky tests: which are rerun, and the report on those that pass only the second time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.outside import TESTS, is_outside, starting_definitions, starting_imports

RERUNS = TESTS.parent / "scripts" / "reruns"
FLAKY = "flaky: passed only when rerun alone:\n"
PASSES, BROKEN = "def test_passes(): pass\n", "def test_broken(): assert False\n"
SECOND_TIME = """
from pathlib import Path
def test_passes_the_second_time():
    mark = Path(__file__).with_suffix(".mark")
    again = mark.exists()
    mark.touch()
    assert again
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def two_goes(folder: Path, *files: str) -> tuple[int, str]:
    """Exit status and output of the second go over test files with these contents."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for number, text in enumerate(files):
        (folder / f"test_{number}.py").write_text(text)
    first = run(folder, "pytest", "--cache-clear")
    done = run(folder, sys.executable, str(RERUNS), "second-go", str(first.returncode))
    return done.returncode, done.stdout


def test_what_passes_only_the_second_time_is_listed_last(tmp_path: Path) -> None:
    status, output = two_goes(tmp_path, SECOND_TIME, PASSES)
    assert status == 0
    assert "1 passed" in output
    assert output.endswith(f"{FLAKY}  test_0.py::test_passes_the_second_time\n")


def test_what_fails_twice_is_broken_and_not_called_flaky(tmp_path: Path) -> None:
    status, output = two_goes(tmp_path, BROKEN)
    assert (status, "1 failed" in output, "flaky" in output) == (1, True, False)


def test_beside_a_broken_test_a_flaky_one_is_listed_too(tmp_path: Path) -> None:
    status, output = two_goes(tmp_path, SECOND_TIME, BROKEN)
    assert status == 1
    assert output.endswith(f"{FLAKY}  test_0.py::test_passes_the_second_time\n")


@pytest.mark.parametrize(
    ("files", "status"), [([BROKEN] * 4, 1), (["syntax error"], 2)], ids=["four files", "collecting"]
)
def test_what_is_no_accident_gets_no_second_go(tmp_path: Path, files: list[str], status: int) -> None:
    assert two_goes(tmp_path, *files) == (status, "")


def test_repeating_counts_the_failures_of_each_test(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = outside\n")
    for name, text in (("test_0.py", SECOND_TIME), ("test_1.py", BROKEN), ("test_2.py", PASSES)):
        (tmp_path / name).write_text(f"import pytest\npytestmark = pytest.mark.outside\n{text}")
    (tmp_path / "test_3.py").write_text(BROKEN)
    done = run(tmp_path, sys.executable, str(RERUNS), "repeat", "2")
    assert done.returncode == 1
    counts = "failed in any of 2 runs:\n  2 × test_1.py::test_broken\n  1 × test_0.py::test_passes_the_second_time\n"
    assert done.stdout.endswith(counts)


# ---- the marker `outside`
@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("import subprocess", {"subprocess"}), ("from subprocess import Popen as P", {"P"}),
        ("def test():\n    from http.server import HTTPServer", {"HTTPServer"}), ("import subprocesses", set()),
        ("from tests.support.processes import TrainingProcess, train_command", {"TrainingProcess"}),
        ("from tests.support.waiting import wait_until", set()), ("from vsrpp.tracking import Delivery", {"Delivery"}),
    ],
)  # fmt: skip
def test_what_starts_something_is_told_by_its_import(tmp_path: Path, line: str, names: set[str]) -> None:
    (tmp_path / "test_it.py").write_text(line)
    assert starting_imports(tmp_path / "test_it.py") == names


def test_helpers_start_something_through_one_another() -> None:
    assert starting_definitions(TESTS / "support" / "backends.py") >= {"BigServer", "Postgres"}
    assert starting_definitions(TESTS / "tracking" / "conftest.py") >= {"server", "shared_server"}
    assert starting_definitions(TESTS / "support" / "clips.py") == set()


def test_tests_get_the_marker_by_themselves(request: pytest.FixtureRequest) -> None:
    assert is_outside(request.node)
    assert request.node.get_closest_marker("outside") is not None
