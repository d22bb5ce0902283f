"""The output of ranks is shown in whole lines, with the rank's number; for a failure, the line that reports it."""

from __future__ import annotations

from pathlib import Path

from vsrpp.launch.log_tail import LogTail

TRACEBACK = (
    'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    g()\n    ^^^\nValueError: no such thing\n'
)


def test_a_line_is_shown_once_it_is_whole_and_names_its_rank(tmp_path: Path) -> None:
    shown: list[str] = []
    log = LogTail(shown.append)
    zero, three = tmp_path / "rank_0.err", tmp_path / "rank_3.err"
    zero.write_text("first\nsec")
    three.write_text("hello\n")
    log.read(tmp_path)
    assert shown == ["first", "[rank 3] hello"]
    zero.write_text("first\nsecond\nrest")
    log.read(tmp_path)
    log.errors(tmp_path)
    assert shown[2:] == ["second", "rest"]


def test_last_words_are_held_back_until_it_is_known_whose_count(tmp_path: Path) -> None:
    shown: list[str] = []
    log = LogTail(shown.append)
    (tmp_path / "rank_1.err").write_text(f"a warning\n{TRACEBACK}")
    (tmp_path / "rank_0.err").write_text("vsrpp: the others are gone.\n")
    assert log.errors(tmp_path) == {0: ["vsrpp: the others are gone."], 1: ["ValueError: no such thing"]}
    assert shown == ["[rank 1] a warning"]
    assert log.last_line(tmp_path, 1) == "ValueError: no such thing"
    log.forget()
    assert log.errors(tmp_path) == {}


def test_the_noise_of_a_library_stays_in_the_file(tmp_path: Path) -> None:
    shown: list[str] = []
    noise = "[/src/gloo/transport/tcp/debug_logger.cc:9] ERROR failed to connect\n[E1124 22:17:17.6 ProcessGroupGloo.cpp:67] x\n"
    (tmp_path / "rank_2.err").write_text(f"out of memory\n{noise}")
    LogTail(shown.append).read(tmp_path)
    assert shown == ["[rank 2] out of memory"]
    assert LogTail.last_line(tmp_path, 2) == "out of memory"
    assert LogTail.last_line(tmp_path, 5) is None
