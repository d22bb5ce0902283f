"""train and replay where several processes do it together, as torchrun or a launcher of ours started them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vsrpp.errors import VsrppError

if TYPE_CHECKING:
    from vsrpp.training.preflight import Meeting


@contextmanager
def joined() -> Iterator[Meeting | None]:
    """The meeting of the ranks, for as long as they are together; None (and torch not imported) in a run of one process.

    Raises VsrppError when they do not come together.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield None
        return
    from vsrpp.distributed.process_group import Group
    from vsrpp.training.preflight import Meeting

    group = Group.join()
    try:
        yield Meeting(group)
    except BaseException:
        if group.leads and group.pulse is not None:
            group.pulse.give_up()
        raise
    finally:
        group.close()


def follow(meeting: Meeting, asked: Callable[[], Mapping[str, Any] | None] = lambda: None) -> int:
    """All that a rank above 0 does; the exit status. `asked` resolves this rank's own command line.

    What rank 0 has to say it says; here only a failure of this rank is told.
    """
    from vsrpp.training.follower import Follower, Gone, hold_still, wait_for_rank_0
    from vsrpp.training.preflight import Quiet, attend

    hold_still()
    try:
        ended = Follower(attend(meeting.group, asked)).follow()
    except Quiet as quiet:
        return quiet.exit_code
    except Gone as gone:
        if str(gone):
            raise
        return VsrppError.exit_code
    if ended != "failed":
        return 0
    wait_for_rank_0(meeting.group)
    return VsrppError.exit_code
