"""train and replay where several processes do it together, as torchrun or a launcher of ours started them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vsrpp.errors import VsrppError

if TYPE_CHECKING:
    from vsrpp.distributed.process_group import ProcessGroup
    from vsrpp.training.preflight import Preflight


@contextmanager
def joined() -> Iterator[Preflight | None]:
    """The meeting of the ranks, for as long as they are together; None (and torch not imported) in a run of one process.

    Raises VsrppError when they do not come together.
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
    """Train on a rank above 0; the exit status. `asked` resolves this rank's own command line.

    What rank 0 has to say it says; here only a failure of this rank is told.
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
    except PeerLost as lost:  # while training, it is told there
        raise VsrppError(f"rank {preflight.group.rank} lost rank 0 before the first step.") from lost
    except Rank0Failed as failed:
        wait_for_rank_0(preflight.group)
        return failed.exit_code
    return 0


def ignore_signals() -> None:
    """Let rank 0 decide what a signal means: whoever starts the processes sends it to all of them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def wait_for_rank_0(group: ProcessGroup) -> None:
    """After a failed run: do not end before rank 0 does, or whoever started both takes this rank for the one that failed."""
    with contextlib.suppress(VsrppError):
        group.broadcast(None)
