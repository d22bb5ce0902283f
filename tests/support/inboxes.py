"""Reading an inbox as the trainer does."""

from __future__ import annotations

from vsrpp.store import Command, UnreadableCommand
from vsrpp.store.pending import PendingCommands


def taken(pending: PendingCommands) -> list[Command]:
    """All new commands, each of which must be readable."""
    pending.look()
    commands: list[Command] = []
    while (command := pending.next()) is not None:
        assert not isinstance(command, UnreadableCommand), command.error
        commands.append(command)
    return commands
