"""The commands completion and help."""

from __future__ import annotations

from vsrpp.cli import parser, table


def completion(shell: str) -> int:
    """Print the completion script for a shell."""
    import shtab

    built = parser.build()
    for action in parser.arguments(built):
        if action.dest in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest == "command":
            action.choices = [spec.name for spec in table.COMMANDS]
    print(shtab.complete(built, shell=shell), end="")
    return 0


def help(command: str | None) -> int:
    """Print the help of all commands or of one."""
    parser.print_help(command)
    return 0


_FILES = {
    option.name
    for spec in table.COMMANDS
    for option in spec.all_options()
    if option.kind in ("path", "place", "target")
} | {"html", "png"}
