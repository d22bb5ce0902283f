"""A rank that follows: it makes its part of every step and holds the same state as rank 0, and does what rank 0 says.

It keeps no record and shows no face. Between two talks it goes by itself: what falls due at which step it knows as well
as rank 0 (`vsrpp.training.cadence`), and its controller is fed the same numbers.
"""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from typing import Any

import torch

from vsrpp.data import Data
from vsrpp.distributed.heartbeat import LOST
from vsrpp.distributed.process_group import Group
from vsrpp.errors import VsrppError, out_of_memory
from vsrpp.training.cadence import out_of_patience, row_due, validation_due
from vsrpp.training.state import TrainingState
from vsrpp.training.step import Stepper
from vsrpp.training.system import SystemSampler
from vsrpp.training.throughput import Pace
from vsrpp.training.validation import Validator


@dataclass(frozen=True, slots=True)
class Share:
    """What a follower has been given to work on; the config is rank 0's."""

    run_config: dict[str, Any]
    data: Data
    device: torch.device
    group: Group
    state: TrainingState


class Follower:
    """One run on a rank above 0. Call `follow` once."""

    def __init__(self, share: Share) -> None:
        self._config = config = share.run_config
        self.live: dict[str, Any] = {}
        self.state = share.state
        self.pace = Pace()
        self.stepper = Stepper(share, self.state, self.pace)
        self._group = share.group
        self._validator = Validator(
            share.data.val, int(config["scale"]), share.device, config["precision"], share.group
        )  # fmt: skip
        self._system = SystemSampler(share.device)
        self._frames = int(config["batch_size"]) * int(config["num_frames"])

    def follow(self) -> str:
        """Do what rank 0 says until it says how the run ended. Raises VsrppError when the others are lost."""
        if self._group.pulse is not None:
            self._group.pulse.doing = lambda: (self.state.step, self.pace.part)
        try:
            while True:
                word = self._listen()
                match word[0]:
                    case "restore":
                        self.state.restore(word[1])
                        self.stepper.drop_batches()
                        self.pace.forget_step(self.state.step)
                    case "go":
                        self._go(*word[1:])
                    case "end":
                        return str(word[1])
        except Exception as error:
            raise self._lost(error) from error
        finally:
            self.stepper.drop_batches()
            self._system.close()

    def _listen(self) -> tuple[Any, ...]:
        """The next word that is not about a validation; those are done at once."""
        with self.pace.doing("boundary"):
            while (word := self._group.said())[0] in ("validate", "wait"):
                if word[0] == "validate":
                    with self.pace.doing("validation"):
                        self._validator.score(self.state.model_ema, pictures=bool(word[1]))
        return tuple(word)

    def _go(self, until: int, live: dict[str, Any], asked_quality: tuple[float, float] | None) -> None:
        self.live, self.state.asked_quality = live, asked_quality
        while self.state.step < until and not out_of_patience(self.state, self._config):
            self._step()

    def _step(self) -> None:
        """As `Trainer.one_step` and `Boundary.after_step`, without a record."""
        self.pace.step_begins()
        with self.pace.doing("compute"):
            made = self.stepper.take(self.live, watched=row_due(self.state.step + 1, self.live))
        step = self.state.step
        asked, self.state.asked_quality = self.state.asked_quality, None
        quality, sharpness = asked or (None, None)
        if validation_due(step, self.live):
            word = self._listen()
            if word[0] != "decided":
                raise VsrppError(f"rank 0 said {word[0]} where the validation of step {step} was due.")
            quality, sharpness = word[1:]
        self.stepper.decide(made.metrics, self.live, quality=quality, sharpness=sharpness)
        if row_due(step, self.live):
            figures = self.pace.row(step, self._frames)
            self._group.gathered({**figures, **self.stepper.activity.values(), **self._system.latest})

    def _lost(self, error: Exception) -> Exception:
        """Leave word why this rank ends, for rank 0 to record; the line to show here."""
        pulse, line = self._group.pulse, str(error).splitlines()[0] if str(error) else type(error).__name__
        if pulse is None or isinstance(error, Gone):
            return error
        if _of_the_talk(error):
            pulse.leave(LOST)
            return Gone("" if pulse.is_there(0) else f"rank {self._group.rank} lost rank 0 at step {self.state.step}.")
        if out_of_memory(error):
            line = f"out of memory on {self.state.device}: {line}"
        pulse.leave(line)
        return Gone(f"rank {self._group.rank} failed at step {self.state.step}: {line}")


class Gone(VsrppError):
    """This rank cannot go on; an empty line where rank 0 is there to say why."""


def hold_still() -> None:
    """Let rank 0 decide what a signal means: whoever starts the processes sends it to all of them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def wait_for_rank_0(group: Group) -> None:
    """After a failed run: do not be gone before rank 0 is, or whoever started both takes it for the one that failed."""
    with contextlib.suppress(RuntimeError):
        group.said()


def _of_the_talk(error: Exception) -> bool:
    """Whether a collective failed because of another rank."""
    if not isinstance(error, RuntimeError) or out_of_memory(error):
        return False
    text = str(error).lower()
    return isinstance(error, torch.distributed.DistError) or any(
        sign in text for sign in ("gloo", "connection", "timed out", "nccl")
    )
