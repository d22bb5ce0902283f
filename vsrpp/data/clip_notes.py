"""What a person should know of the files of clips, in lines: clips with the same note share one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_NAMES = 3


def note_lines(clips: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """`first, second and 12 more: note` for each note of (name, notes)."""
    names_by_note: dict[str, list[str]] = {}
    for name, notes in clips:
        for note in notes:
            names_by_note.setdefault(note, []).append(name)
    return [f"{_some(names)}: {note}" for note, names in names_by_note.items()]


def _some(names: Sequence[str]) -> str:
    if len(names) <= _NAMES + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMES])} and {len(names) - _NAMES} more"
