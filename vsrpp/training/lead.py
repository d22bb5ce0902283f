"""Rank 0's words to the other ranks, which listen at steps known beforehand (`vsrpp.training.follower`).

A word is a tuple: its name, then what goes with it. Every talk ends with `go`, which names the step of the next one, or
with `end`. In a run of one process nobody listens, and nothing is said.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.distributed.process_group import Group
from vsrpp.training.live_config import Throttle

SIGNS_A_TIMEOUT = 4
"""How often within the others' patience they are told to go on waiting."""


class Lead:
    """What rank 0 has said, and whether the others are listening."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._until = 0
        """The step up to which the others go by themselves."""
        self._ended = False
        self._wait_again = Throttle(min(group.timeout_s / SIGNS_A_TIMEOUT, 20.0))

    def talks_at(self, step: int) -> bool:
        """Whether the others listen after `step`; in a run of one process whenever it is asked."""
        return not self.group.many or step >= self._until

    def met(self, step: int) -> None:
        """The others have come to listen after `step` by themselves."""
        self._until = step

    def restore(self, capture: Callable[[], Snapshot]) -> None:
        """Everybody takes on this state, data position included, and listens on."""
        self._until = 0
        if self.group.many:
            self.group.said(("restore", capture()))

    def go(self, until: int, live: dict[str, Any], asked_quality: tuple[float, float] | None) -> None:
        """Make the steps up to `until` under `live`; the controller sees `asked_quality` after the first of them."""
        self._until = until
        if self.group.many:
            self.group.said(("go", until, live, asked_quality))

    def validate(self, *, pictures: bool) -> None:
        """Score your share of the clips, and let me have the figures."""
        if self.group.many:
            self.group.said(("validate", pictures))

    def decided(self, quality: float | None, sharpness: float | None) -> None:
        """What the controller is to see of the validation that was due."""
        if self.group.many:
            self.group.said(("decided", quality, sharpness))

    def keep_waiting(self) -> None:
        """Now and then: I am still here, there is nothing to do."""
        if self.group.many and self._wait_again.due():
            self.group.said(("wait",))

    def end(self, state: str) -> None:
        """The run ends here; said once."""
        if self.group.many and not self._ended:
            self._ended = True
            self.group.said(("end", state))

    def give_up(self, step: int, *, broken: bool) -> None:
        """The run has failed: say it if they listen; else they find it out within seconds. Never raises."""
        pulse = self.group.pulse
        if self._ended or pulse is None:
            return
        if broken or not self.talks_at(step):
            self._ended = True
            pulse.give_up()
            return
        with contextlib.suppress(RuntimeError):
            self.end("failed")
