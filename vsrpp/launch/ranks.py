"""train and replay with several processes, started by torchrun or by our own launcher."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vsrpp.errors import START_AGAIN_SIGNALS, VsrppError
from vsrpp.launch import messages

if TYPE_CHECKING:
    from vsrpp.distributed.process_group import ProcessGroup
    from vsrpp.training.preflight import Preflight


@contextmanager
def joined() -> Iterator[Preflight | None]:
    """Join the process group of the ranks and leave it at the end; None, without importing torch, for a single process.

    Raises VsrppError if the ranks do not find each other.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield None
        return
    from vsrpp.distributed.process_group import ProcessGroup
    from vsrpp.training.preflight import Preflight

    group = ProcessGroup.join()
    try:
        yield Preflight(group)
    except BaseException:
        if group.is_rank_0 and group.heartbeat is not None:
            group.heartbeat.give_up()
        raise
    finally:
        group.close()


def follow(preflight: Preflight, asked: Callable[[], Mapping[str, Any] | None] = lambda: None) -> int:
    """Train on a rank above 0; returns the exit status. `asked` resolves this rank's own command line.

    Rank 0 reports everything about the run; this rank reports only its own failure.
    """
    from vsrpp.distributed.process_group import PeerLost, Rank0Failed
    from vsrpp.training.loop import train
    from vsrpp.training.open_run import join_run
    from vsrpp.training.preflight import RefusedByRank0, attend
    from vsrpp.training.ranks import RankGone

    ignore_signals()
    try:
        train(join_run(attend(preflight.group, asked)))
    except RefusedByRank0 as refused:
        return refused.exit_code
    except RankGone as gone:
        if str(gone):
            raise
        return gone.exit_code
    except PeerLost as lost:  # before the first step; during training, the trainer reports it
        raise messages.RANK_0_LOST(rank=preflight.group.rank) from lost
    except Rank0Failed as failed:
        wait_for_rank_0(preflight.group)
        return failed.exit_code
    return 0


def ignore_signals() -> None:
    """Leave signals to rank 0, because launchers send them to all processes."""
    for number in (signal.SIGINT, *START_AGAIN_SIGNALS):
        signal.signal(number, signal.SIG_IGN)


def wait_for_rank_0(group: ProcessGroup) -> None:
    """Wait for rank 0 to exit after a failed run; otherwise the launcher would blame this rank for the failure."""
    with contextlib.suppress(VsrppError):
        group.broadcast(None)
