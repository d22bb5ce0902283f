"""The command train: builds a request from the command line and shows its progress on a console."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from vsrpp import paths
from vsrpp.cli import early, yaml_notes
from vsrpp.cli.console import Console
from vsrpp.config import config_file
from vsrpp.launch import train_job
from vsrpp.launch.request import RankCommand, TrainRequest, check_combination
from vsrpp.output import output_may_be_lost

MODULE = "vsrpp.cli"
"""The module that each of several ranks runs, with the same command line."""


def train(
    *, command_line: Sequence[str], settings: Sequence[str], plugins: Sequence[str], trust_code: Sequence[str], **fields: Any
) -> int:  # fmt: skip
    """`fields`: the remaining fields of `TrainRequest`, as named by the parser. Raises VsrppError."""
    command = RankCommand(module=MODULE, arguments=tuple(command_line))
    request = TrainRequest(
        rank_command=command, settings=tuple(settings), plugins=tuple(plugins), trust_code=tuple(trust_code), **fields
    )
    check_combination(request)
    _look_early(request)
    if not request.check:
        output_may_be_lost()
    return train_job.train(request, Console(), has_terminal=_has_terminal())


def _look_early(request: TrainRequest) -> None:
    """Run the checks that only look at the disk, before any slow import. Raises NotFound or Refused."""
    runs = paths.runs_dir(request.run_dir)
    if request.config:
        yaml_notes.tell(config_file(request.config))
    if request.data:
        early.check_input(request.data)
    if request.resume:
        early.find_or_ask(request.resume, runs)
    elif request.source:
        early.check_checkpoint(request.source, runs)


def _has_terminal() -> bool:
    """Whether this is an interactive terminal; a stream closed before the start is None."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
