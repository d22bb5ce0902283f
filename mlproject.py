"""The entry points of MLproject: checks and converts MLflow's string parameters, and calls `vsrpp`.

MLflow checks neither types nor names of parameters, and appends unknown ones as further flags. So everything arrives
here as `ENTRY_POINT --name value --name value …`; an invalid parameter gives one line on standard error and exit
status 2, before anything starts.
"""

from __future__ import annotations

import difflib
import itertools
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vsrpp.cli.entry_points import ENTRIES, ProjectEntry
from vsrpp.cli.table import Option
from vsrpp.safe_text import redact, safe

NOT_GIVEN = ""  # the default of every optional parameter in MLproject
SHELLS = {"bash", "sh", "dash", "zsh"}
MAY_BRING_PLUGINS = {"plugin", "config", "from"}  # what they name can declare parameters of its own
WORDS = {"sample", "bicubic", "latest"}  # keep their meaning even beside a folder of that name

SECRET = "alerts_url"
SECRET_REFUSED = (
    f"{SECRET} refused: `mlflow run` logs the values of -P in clear, and has just done so: delete this MLflow run"
    " (mlflow runs delete, mlflow gc) and change the webhook's address. Set it as VSRPP_ALERTS_URL in the environment"
    " or in the file of -P config=FILE"
)

PASSWORD_REFUSED = (
    "{name} = {shown} refused: `mlflow run` logs the values of -P in clear, and has just done so: delete this MLflow run"
    " (mlflow runs delete, mlflow gc) and change the password. Give the address without it, and set"
    " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
)


class WrongParameter(ValueError):
    """An invalid parameter; its text is the line to show."""


Check = Callable[[str], str]  # MLflow's text -> text for the command line; raises ValueError(reason)


def text(value: str) -> str:
    return value


def integer(value: str) -> str:
    """A whole number. MLflow's only numeric type is float, so `300`, `300.0` and `3e2` all mean 300."""
    from vsrpp import config

    try:
        return str(config.read_whole(value))
    except ValueError:
        raise ValueError("must be a whole number") from None


def devices(value: str) -> str:
    return value if value == "auto" else integer(value)


def on_off(value: str) -> str:
    word = value.strip().lower()
    if word in {"on", "true", "yes", "1"}:
        return "on"
    if word in {"off", "false", "no", "0"}:
        return "off"
    raise ValueError("must be on or off")


def one_of(*choices: str) -> Check:
    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return check


def step(value: str) -> str:
    return value if value in {"best", "latest"} else integer(value)


def path(value: str) -> str:
    """A path, relative to the folder in which `mlflow run` was called, which may differ from the working directory."""
    return str(caller_dir() / Path(value).expanduser())


def target(value: str) -> str:
    """A path to write to; a slash at its end is kept."""
    return path(value) + "/" * value.endswith("/")


def path_or_name(value: str) -> str:
    """A run ID, a models:/ address, a word such as `sample`, or a path if it exists."""
    if value in WORDS:
        return value
    looked_up = path(value)
    return looked_up if Path(looked_up).exists() else value


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """An entry point of MLproject, as in `vsrpp.cli.entry_points`: its command, and the check for each parameter."""

    command: str
    options: Mapping[str, Option]
    """Parameter -> its option."""
    required: frozenset[str] = frozenset()
    implied: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    """Parameter -> (its value if it is not given, the parameters beside which it has none)."""
    takes_config_keys: bool = False
    """Whether other names may be keys of the run or live config."""

    @property
    def parameters(self) -> dict[str, Check]:
        return {name: check_of(option) for name, option in self.options.items()}

    @classmethod
    def of(cls, entry: ProjectEntry) -> EntryPoint:
        return cls(
            command=entry.command,
            options={parameter.name: parameter.of(entry.spec) for parameter in entry.parameters},
            required=frozenset(parameter.name for parameter in entry.parameters if parameter.required(entry.spec)),
            implied={one.name: (one.implied, frozenset(one.unless)) for one in entry.parameters if one.implied},
            takes_config_keys=entry.takes_config_keys,
        )


def check_of(option: Option) -> Check:
    """The check for an option's value, which arrives from MLflow as text."""
    if option.choices:
        return one_of(*map(str, option.choices))
    checks: dict[str, Check] = {
        "whole": integer, "port": integer, "path": path, "place": path_or_name, "target": target,
        "step": step, "devices": devices, "switch": on_off,
    }  # fmt: skip
    return checks.get(option.kind, text)


ENTRY_POINTS: dict[str, EntryPoint] = {entry.name: EntryPoint.of(entry) for entry in ENTRIES}


def command_line(entry_point: str, arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """The `vsrpp` command line for an entry point, and the folder for runs if one was given.

    `arguments` are MLflow's `--name value` pairs. Raises WrongParameter.
    """
    entry = ENTRY_POINTS.get(entry_point)
    if entry is None:
        raise WrongParameter(f"unknown entry point {entry_point!r}: must be one of {', '.join(ENTRY_POINTS)}")
    given: dict[str, str] = {}
    settings: list[str] = []
    others: list[tuple[str, str]] = []
    for name, value in pairs(arguments):
        option = entry.options.get(name)
        if option is not None:
            if value != NOT_GIVEN:
                given[name] = checked(name, value, check_of(option))
        elif entry.takes_config_keys and name in config_keys():
            settings.append(f"{name}={plugin_path(value)}")
        else:
            others.append((name, value))
    if entry.takes_config_keys:
        settings = split_settings(given.pop("set", "")) + settings
    foreign = given.keys() & MAY_BRING_PLUGINS or any(names_plugin(*setting.split("=", 1)) for setting in settings)
    for name, value in others:  # parameters of a plug-in are known once it is imported
        if not (entry.takes_config_keys and foreign):
            raise WrongParameter(unknown(name, entry))
        settings.append(f"{name}={value}")
    for name in sorted(entry.required - given.keys()):
        raise WrongParameter(f"{name} is missing: -P {name}=…")
    for name, value in given.items():
        shown = redact(value, path=True)
        if "://" in value and shown != value:
            raise WrongParameter(PASSWORD_REFUSED.format(name=name, shown=shown))
    run_dir = given.pop("run_dir", None)
    if any(setting.startswith(f"{SECRET}=") and setting != f"{SECRET}=" for setting in settings):
        raise WrongParameter(SECRET_REFUSED)
    implied = {name: value for name, (value, unless) in entry.implied.items() if not given.keys() & unless}
    given = implied | given
    return [entry.command, *flags(entry, given), *(word for s in settings for word in ("--set", s))], run_dir


def flags(entry: EntryPoint, given: Mapping[str, str]) -> Iterator[str]:
    """The given parameters in the form `vsrpp` expects: positional, as a switch, or as `--flag value`."""
    by_position = [name for name, option in entry.options.items() if option.flag is None]
    yield from (given[name] for name in by_position if name in given)
    for name, value in given.items():
        option = entry.options[name]
        if option.flag is None:
            continue
        if option.kind == "list":
            for word in split_words(name, value):
                yield from (option.flag, word_of(option)(word))
        elif option.kind != "switch":
            yield from (option.flag, value)
        elif (value == "on") != bool(option.default):
            yield option.flag


def word_of(option: Option) -> Check:
    """What becomes of each value of a list: relative paths start where `mlflow run` was called."""
    return {"FILE": path, "FILE|MODULE": plugin_path}.get(option.metavar or "", text)


def pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(arguments) % 2:
        raise WrongParameter(f"{arguments[-1]} has no value: expected --name value")
    for flag, value in zip(arguments[::2], arguments[1::2], strict=True):
        if not flag.startswith("--"):
            raise WrongParameter(f"{flag} is not a parameter: expected --name value")
        yield flag[2:], value


def checked(name: str, value: str, check: Check) -> str:
    try:
        return check(value)
    except ValueError as reason:
        raise WrongParameter(f"{name} = {value} refused: {reason}") from None


def names_file(value: str) -> bool:
    """Whether a value names a network, a schedule … in a Python file: `nets.py:MyNet`."""
    return value.partition(":")[0].endswith(".py")


def names_plugin(key: str, value: str) -> bool:
    """Whether the value of a key is none of our own choices but, perhaps, something that a plug-in provides."""
    from vsrpp import config

    return key in config.plugin_keys() and value not in config.parameters()[key].choices


def plugin_path(value: str) -> str:
    """A Python file, with or without `:NAME`, relative to the folder in which `mlflow run` was called; or a module."""
    file, colon, name = value.partition(":")
    return f"{path(file)}{colon}{name}" if names_file(value) else value


def split_words(name: str, value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as reason:
        raise WrongParameter(f"{name} = {value} refused: {reason}") from None


def split_settings(value: str) -> list[str]:
    settings = split_words("set", value)
    for setting in settings:
        if "=" not in setting:
            raise WrongParameter(f'set = {value} refused: {setting} is not KEY=VALUE; give several as set="a=1 b=2"')
    given = (setting.partition("=") for setting in settings)
    return [f"{key}={plugin_path(text)}" for key, _, text in given]


def config_keys() -> set[str]:
    from vsrpp import config

    return set(config.parameters())


def unknown(name: str, entry: EntryPoint) -> str:
    known = [*entry.parameters, *(sorted(config_keys()) if entry.takes_config_keys else [])]
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"must be one of {', '.join(entry.parameters)}"
    return f"unknown parameter {name}: {hint}"


def caller_dir() -> Path:
    """The folder in which `mlflow run` was called; MLflow starts its entry points in the project's folder.

    It is the working directory of the parent process, not counting shells in between.
    """
    import psutil

    try:
        for parent in psutil.Process().parents():
            if parent.name() not in SHELLS:
                return Path(parent.cwd())
    except (psutil.Error, OSError):
        pass
    return Path.cwd()


def is_temporary_copy(project: Path) -> bool:
    """Whether MLflow unpacked the project (from a zip, from git) into a temporary folder."""
    temporary = Path(tempfile.gettempdir()).resolve()
    if not project.is_relative_to(temporary) or project == temporary:
        return False
    unpacked_to = temporary / project.relative_to(temporary).parts[0]
    looks_made_by_tempfile = unpacked_to.name.startswith("tmp") and len(unpacked_to.name) == len("tmp") + 8
    return looks_made_by_tempfile and not caller_dir().resolve().is_relative_to(unpacked_to)


def choose_runs_folder(run_dir: str | None) -> None:
    """Set the folder for runs in VSRPP_RUNS, which child processes inherit."""
    if run_dir is not None:
        os.environ["VSRPP_RUNS"] = run_dir
    elif not os.environ.get("VSRPP_RUNS") and is_temporary_copy(Path(__file__).resolve().parent):
        os.environ["VSRPP_RUNS"] = str(Path.home() / "vsrpp-runs")
        print(
            f"MLflow runs a temporary copy of the project: runs are kept in {os.environ['VSRPP_RUNS']} (VSRPP_RUNS)",
            file=sys.stderr,
        )


def give_up_mlflow_run() -> None:
    """Mark the MLflow run that `mlflow run` creates for every entry point as a tool's, because it trains nothing."""
    run_id = os.environ.pop("MLFLOW_RUN_ID", None)
    if run_id is None:
        return
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        MlflowClient().set_tag(run_id, "vsrpp.kind", "tool")
    except MlflowException as error:
        print(f"MLflow run {run_id} could not be marked as a tool's: {safe(str(error))}", file=sys.stderr)


def records_elsewhere(command: Sequence[str]) -> bool:
    """Whether this is one of several hosts or processes and not rank 0, which has the MLflow run."""
    from vsrpp.errors import Refused
    from vsrpp.launch import plan as launching
    from vsrpp.launch import world

    options = dict(itertools.pairwise(command))
    number = options.get("--node-rank")
    try:
        surroundings = world.of_environment()
        if surroundings is not None:
            return surroundings.rank > 0
        nodes = int(options.get("--nodes", 1))
        rendezvous = launching.meeting(options.get("--rendezvous"), nodes)
        return launching.node_rank(None if number is None else int(number), nodes, rendezvous) > 0
    except Refused:  # the command itself reports this
        return False


def main(argv: Sequence[str]) -> int:
    if not argv:
        print(f"usage: python mlproject.py {'|'.join(ENTRY_POINTS)} --name value …", file=sys.stderr)
        return 2
    try:
        command, run_dir = command_line(argv[0], argv[1:])
    except WrongParameter as error:
        print(f"mlproject: {safe(str(error))}", file=sys.stderr)
        return 2
    choose_runs_folder(run_dir)
    if command[0] != "train" or {"--resume", "--deliver-to", "--check"} & set(command) or records_elsewhere(command):
        give_up_mlflow_run()

    from vsrpp.cli import main as vsrpp

    return vsrpp(command) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
