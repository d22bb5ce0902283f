"""The command table as an argparse parser. Importing this is cheap; a command's code is loaded when it runs."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from vsrpp import __version__, config
from vsrpp.cli import messages
from vsrpp.cli.table import COMMANDS, GLOBAL_OPTIONS, CommandSpec, Option
from vsrpp.errors import VsrppError

_NAMES = [spec.name for spec in COMMANDS]


class Parser(argparse.ArgumentParser):
    """Raises errors as Refused, in one line, instead of printing argparse's usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise messages.USAGE(message=f"{message}.", see=f"{self.prog} --help")


def parse(argv: list[str]) -> Callable[[], int]:
    """Parse a command line into a function that runs the command and returns the exit status. Raises Refused."""
    words = _command_first(argv) or ["help"]
    parser = build()
    given, unknown = parser.parse_known_args(words)
    options = vars(given)
    if unknown:
        raise _unknown_option(unknown[0], words[0])
    module, function = options.pop("entry").split(".")
    if options.pop("starts_ranks", False):
        options["command_line"] = argv

    def run() -> int:
        return int(getattr(importlib.import_module(f"vsrpp.cli.{module}"), function)(**options) or 0)

    return run


def wants_json(argv: Sequence[str]) -> bool:
    """Whether a command line, even an invalid one, requests a JSON document."""
    words = argv[: argv.index("--")] if "--" in argv else argv
    if {"-h", "--help", "--version"} & set(words):
        return False
    return any(len(word) > len("--") and "--json".startswith(word) for word in words)


def build() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="vsrpp",
        description="Train video super-resolution networks, steer them while they train, and restore any state.",
        epilog="A first run: vsrpp train --preset demo --data sample      Then, beside it: vsrpp set latest max_lr=2e-4",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vsrpp {__version__}")
    for option in GLOBAL_OPTIONS:
        _add(parser, option, default=argparse.SUPPRESS)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for spec in COMMANDS:
        _command(commands, spec)
    return parser


def _command_first(argv: Sequence[str]) -> list[str]:
    """The command line with global options moved to after the command. Raises Refused for an unknown command."""
    takes_value = {option.flag: option.kind != "switch" for option in GLOBAL_OPTIONS}
    words, moved = list(argv), []
    while words and words[0].partition("=")[0] in takes_value:
        flag, equals, _ = words[0].partition("=")
        count = 2 if takes_value[flag] and not equals else 1
        moved += words[:count]
        del words[:count]
    if words and not words[0].startswith("-") and words[0] not in _NAMES:
        raise _unknown_command(words[0])
    return [*words[:1], *moved, *words[1:]]


def _unknown_command(name: str) -> VsrppError:
    message = messages.NO_COMMAND.format(name=name, hint=_did_you_mean(name, _NAMES))
    return messages.USAGE(message=message, see="vsrpp help")


def _unknown_option(word: str, name: str) -> VsrppError:
    spec = next(spec for spec in COMMANDS if spec.name == name)
    if not word.startswith("-"):
        return messages.USAGE(message=messages.TOO_MANY.format(word=word), see=f"vsrpp {name} --help")
    flag = word.partition("=")[0]
    hint = _assignment(flag, spec) or _did_you_mean(flag, [option.flag for option in spec.all_options() if option.flag])
    message = messages.NO_OPTION.format(option=flag, command=name, hint=hint)
    return messages.USAGE(message=message, see=f"vsrpp {name} --help")


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    """The nearest of the known words; dashes at their beginning do not count."""
    import difflib  # 7 ms, only for typos

    by_name = {each.lstrip("-"): each for each in known}
    near = difflib.get_close_matches(word.lstrip("-")[:40].lower(), by_name, n=1, cutoff=0.6)
    return f"; did you mean {by_name[near[0]]}?" if near else "."


def _assignment(flag: str, spec: CommandSpec) -> str:
    """The hint for a parameter given as an option, by its name here or elsewhere: `--lr` of `vsrpp train`."""
    from vsrpp.config.aliases import alias_of

    known = config.parameters()
    name = flag.lstrip("-").replace("-", "_")
    key = name if name in known else alias_of(name, known)
    takes_settings = any(option.flag == "--set" for option in spec.options)
    return f"; did you mean --set {key.partition(' ')[0]}=VALUE?" if key and takes_settings else ""


def _command(commands: Any, spec: CommandSpec) -> None:
    parser = commands.add_parser(spec.name, help=spec.help, description=spec.help[0].upper() + spec.help[1:] + ".")
    parser.set_defaults(entry=spec.entry, **spec.fixed)
    if spec.starts_ranks:
        parser.set_defaults(starts_ranks=True)
    if spec.usage:
        parser.usage = spec.usage
    groups: dict[str, Any] = {"": parser}
    for option in spec.all_options():
        if option.group and option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        if option.one_of and option.one_of not in groups:
            groups[option.one_of] = parser.add_mutually_exclusive_group(required=True)
        _add(groups[option.one_of or option.group], option)


def _add(parser: Any, option: Option, **changed: Any) -> None:
    help = argparse.SUPPRESS if option.hidden else option.help.replace("%", "%%")
    settings: dict[str, Any] = {"help": help}
    if option.flag is not None:
        settings["dest"] = option.name
    if option.kind == "switch":
        settings["action"] = "store_false" if option.default else "store_true"
    else:
        settings |= {"metavar": option.metavar, "default": option.default, "type": _TYPES.get(option.kind)}
        if option.choices:
            settings |= {"choices": option.choices}
        if option.kind == "path" and (option.required or option.flag is None):
            settings["type"] = _some_path
        if option.kind == "list":
            settings |= {"action": "append", "default": []}
        if option.flag is None:
            settings |= {"nargs": option.nargs}
        elif option.required:
            settings["required"] = True
    parser.add_argument(option.flag or option.name, **(settings | changed))


def _path(text: str) -> Path | None:
    """An empty value counts as not given."""
    return Path(text) if text else None


def _some_path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)


def _target(text: str) -> str:
    _some_path(text)
    return text


def _whole(text: str) -> int:
    try:
        return config.read_whole(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text}") from None


def _port(text: str) -> int:
    port = _whole(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be between 0 and 65535, not {text}")
    return port


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more seconds, not {text}")
    return seconds


_TYPES: dict[str, Callable[[str], Any]] = {
    "path": _path, "target": _target, "whole": _whole, "port": _port, "seconds": _seconds
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All options and arguments of a parser and of its commands."""
    for action in parser._actions:  # argparse has no public access; shtab uses it, too
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from arguments(command)


def print_help(name: str | None) -> None:
    """Print the help of all commands or of one. Raises Refused for an unknown one."""
    if name is not None and name not in _NAMES:
        raise _unknown_command(name)
    with contextlib.suppress(SystemExit):
        build().parse_args([*([name] if name else []), "--help"])
