"""Threads beside the network: order, bounded queues, errors carried over, and an end at any moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_until
from vsrpp.inference.pipeline import ReadAhead, WriteBehind


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_a_source_is_read_in_order_and_no_further_than_asked() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    with ReadAhead(source(), 4) as items:
        taken = [next(items) for _ in range(3)]
        wait_until(lambda: len(read) == 3 + 4 + 1)  # taken, waiting, and the one in its hand
        assert [*taken, *items] == list(range(100))
    assert len(read) == 100
    assert not threads("reader")


def test_a_reader_ends_early_and_raises_the_sources_error_in_its_place() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with ReadAhead(source(), 4) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="gone"):
            next(items)
    with ReadAhead(iter(range(10**9)), 4) as items:
        next(items)
    assert not threads("reader")


def test_a_writer_writes_everything_in_order_before_it_is_finished() -> None:
    written: list[int] = []
    with WriteBehind[int](written.append, 4) as writer:
        for number in range(100):
            writer.put(number)
        writer.finish()
    assert written == list(range(100))


def test_a_writers_error_is_raised_where_items_are_given_and_never_blocks() -> None:
    def fail(item: int) -> None:
        raise OSError("full")

    with WriteBehind[int](fail, 2) as writer, pytest.raises(OSError, match="full"):
        for number in range(100):
            writer.put(number)
        writer.finish()
    assert not threads("writer")


def test_a_writer_that_is_left_drops_what_waits() -> None:
    may, written = threading.Event(), []

    def write(item: int) -> None:
        may.wait()
        written.append(item)

    with pytest.raises(KeyboardInterrupt), WriteBehind[int](write, 8) as writer:
        for number in range(5):
            writer.put(number)
        threading.Timer(0.05, may.set).start()
        raise KeyboardInterrupt
    assert len(written) <= 1
    assert not threads("writer")
