"""What the run was asked and has not handled: commands from the inbox and saves of the config file, in order."""

from __future__ import annotations

from collections import deque

from vsrpp.store import Command, UnreadableCommand
from vsrpp.store.pending import PendingCommands
from vsrpp.training.config_file import RuntimeConfigFile, Save

Request = Command | UnreadableCommand | Save


class Requests:
    """Used on rank 0 only, and only from the training thread."""

    def __init__(self, pending: PendingCommands, file: RuntimeConfigFile) -> None:
        self.pending = pending
        self._file = file
        self._saves: deque[tuple[int, Save]] = deque()
        """Each with the row ID of the newest command that had been found before it."""

    def look(self) -> None:
        """Find new ones; about 3 µs if there are none."""
        self.pending.look()
        save = self._file.look()
        if save is not None:
            self._saves.append((self.pending.newest_seen, save))

    def next(self, *, urgent_first: bool = False, only_urgent: bool = False) -> Request | None:
        """Take the oldest request; `urgent_first`: a pause, resume or stop before all others. None if none waits."""
        if urgent_first or only_urgent:
            command = self.pending.next_urgent()
            if command is not None or only_urgent:
                return command
        if self._saves and (self.pending.first_id is None or self.pending.first_id > self._saves[0][0]):
            return self._saves.popleft()[1]
        return self.pending.next() or (self._saves.popleft()[1] if self._saves else None)
