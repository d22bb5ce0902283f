"""Builds the configs of a new run from a preset, a YAML file, `--set` and single options."""

from __future__ import annotations

import ast
import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomllib

from vsrpp import paths
from vsrpp.config import messages, schema
from vsrpp.config.check import check_start, normalise, unknown
from vsrpp.config.edits import same
from vsrpp.config.option_files import kind_of, kind_of_keys
from vsrpp.config.problem import Problem
from vsrpp.config.text import one_of, refusal, show
from vsrpp.errors import VsrppError

LARGEST_FILE = 2**20
"""Bytes of a config file."""
_EXPONENT = re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")


def assigned_values(
    preset: str | None, file: Path | None, sets: Mapping[str, Any], *, parent: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> dict[str, Any]:  # fmt: skip
    """What a person set, as `resolve` takes it, not checked against the schema except for the preset's name.

    `parent`: what a run inherits from the one it starts from. Everything that a person names overrides it; a preset does
    with the values in which presets differ. Raises Refused or NotFound for the file.
    """
    assigned = read_file(file) if file is not None else {}
    assigned.pop("plugins", None)  # `plugins_in` reads them
    assigned |= {"preset": preset} if preset is not None else {}
    assigned |= sets
    assigned |= {key: value for key, value in overrides.items() if value is not None}
    named = "preset" in assigned
    assigned.setdefault("preset", schema.default_preset())
    if assigned["preset"] not in schema.presets():
        raise messages.NO_PRESET(value=show(assigned["preset"]), choices=one_of(schema.presets()))
    if parent is None:
        return assigned
    return {**parent, **(schema.preset_values(assigned["preset"]) if named else {}), **assigned}


def plugins_in(file: Path | None) -> list[str]:
    """The `plugins` that a config file lists, as for `--plugin`; of a run's own `run_config.yaml`, where they were.

    Raises Refused if it is not a list of names.
    """
    listed = (read_file(file).get("plugins") if file is not None else None) or []
    names = [entry.get("path") or entry.get("module") if isinstance(entry, dict) else entry for entry in listed]
    if not isinstance(listed, list) or not all(isinstance(name, str) and name for name in names):
        raise messages.FILE_PLUGINS(file=str(file))
    return [str(name) for name in names]


def resolve(
    preset: str | None, file: Path | None, sets: Mapping[str, Any], *, plugins: Sequence[Mapping[str, Any]] = (),
    **overrides: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """The run config and the live config of a new run, checked and complete.

    In increasing priority: the preset's defaults, the file, `sets` (from `--set`), `overrides` (from single options;
    None: not given). Each may contain keys of either config and name a preset. Machine-dependent nulls of a preset
    (`torch_threads`) stay null. `plugins`: the record of the plug-ins, whose parameters are keys, too; it becomes part of
    the run config. Raises Refused, with all problems in one line, and NotFound if the file does not exist.
    """
    assigned = assigned_values(preset, file, sets, **overrides)
    recorded = {"plugins": list(plugins)} if plugins else {}
    run_config, live_config = schema.defaults(assigned["preset"], recorded)
    run_config |= recorded
    problems = []
    for key, value in assigned.items():
        if key in run_config:
            run_config[key] = value
        elif key in live_config:
            live_config[key] = value
        else:
            problems.append(unknown(str(key), value, list(schema.parameters(recorded))))
    problems += check_start(run_config, live_config, list(assigned))
    if problems:
        raise refused(problems)
    return normalise(run_config, recorded), normalise(live_config, recorded)


def refused(problems: Sequence[Problem]) -> VsrppError:
    """The refusal of a config or an edit before a run starts: all problems in one line, and one by one in `causes`."""
    return messages.CONFIG_REFUSED(why=refusal(problems), causes=[refusal([problem]) for problem in problems])


def config_file(name: str) -> Path:
    """The file for `--config`: a path, or a recipe by its bare name. Raises NotFound; Refused for what is no file."""
    file = Path(name).expanduser()
    recipes = {recipe.stem: recipe for recipe in sorted(paths.recipes_dir().glob("*.yaml"))}
    if file.parent == Path() and file.name.removesuffix(".yaml") in recipes and not file.is_file():
        return recipes[file.name.removesuffix(".yaml")]
    if file.exists():
        _check_file(file)
        return file
    raise messages.NO_RECIPE(file=str(file), recipes=", ".join(recipes))


def read_file(file: Path) -> dict[str, Any]:
    """The keys and values of a config file, with those under `live:` merged in.

    Also reads a run's `run_config.yaml` and `runtime_config.json`, ignoring the latter's revision. Raises NotFound, or
    Refused, with line and column if the text is not valid YAML.
    """
    _check_file(file)
    values = _read_yaml(file)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise _other_format(file) or messages.FILE_NOT_OBJECT(file=str(file))
    _check_foreign(values, file)
    live = values.pop("live", None)
    if live is not None and not isinstance(live, dict):
        raise messages.FILE_LIVE_NOT_OBJECT(file=str(file))
    for key, value in (live or {}).items():
        if key in values and not same(values[key], value):
            raise messages.FILE_SET_TWICE(file=str(file), key=show(key), first=show(values[key]), second=show(value))
        values[key] = value
    values.pop("revision", None)
    values |= _alerts(values.pop("alerts", None), file)
    return {key: _listed(key, value) for key, value in values.items()}


def _listed(key: Any, value: Any) -> Any:
    """The text of a parameter that lists numbers, which YAML may also hold as a list or a single number."""
    parameter = schema.parameter(key) if isinstance(key, str) else None
    if isinstance(value, dict) and key == "num_frames_schedule":
        return ", ".join(f"{step}: {frames}" for step, frames in value.items())
    if parameter is None or not parameter.lists_numbers:
        return value
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, bool) or not isinstance(value, (int, float)) else str(value)


def read_text(file: Path) -> str:
    """The text of a config or option file. Raises NotFound, or Refused for what cannot be one."""
    _check_file(file)
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise messages.NO_CONFIG_FILE(file=str(file)) from None
    except OSError as error:
        raise messages.FILE_UNREADABLE(file=str(file), why=error.strerror) from None
    except UnicodeDecodeError:
        raise messages.FILE_NOT_YAML(file=str(file)) from None


def _check_file(file: Path) -> None:
    """Raises Refused for a folder, a pipe, a device, or a file that is too large to be a config."""
    if file.is_dir():
        inside = file / "run_config.yaml"
        if inside.is_file():
            raise messages.FILE_FOLDER_NEAR(file=str(file), inside=str(inside))
        raise messages.FILE_FOLDER(file=str(file))
    if not file.exists() or file.samefile(os.devnull):
        return
    if not file.is_file():
        raise messages.FILE_NOT_REGULAR(file=str(file))
    if file.stat().st_size > LARGEST_FILE:
        raise messages.FILE_TOO_LARGE(file=str(file), mib=round(file.stat().st_size / 2**20))


def _contains_itself(value: Any, around: set[int], seen: set[int]) -> bool:
    """Whether a value is part of itself. `around`: the containers it is in; `seen`: those that are done."""
    if not isinstance(value, (dict, list)) or id(value) in seen:
        return False
    if id(value) in around:
        return True
    around.add(id(value))
    parts = value.values() if isinstance(value, dict) else value
    found = any(_contains_itself(part, around, seen) for part in parts)
    around.remove(id(value))
    seen.add(id(value))
    return found


def _other_format(file: Path) -> VsrppError | None:
    """The refusal that names what a file is, if it is TOML, Python or another project's option file."""
    text = file.read_text(encoding="utf-8")
    kind = kind_of(text, file.name)
    if kind is not None:
        return messages.FOREIGN_FILE(file=str(file), kind=kind)
    if file.suffix != ".py":
        with contextlib.suppress(tomllib.TOMLDecodeError, RecursionError):
            if tomllib.loads(text):
                return messages.FILE_OTHER_FORMAT(file=str(file), format="TOML")
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        if any(isinstance(statement, (ast.Assign, ast.Import, ast.ImportFrom)) for statement in ast.parse(text).body):
            return messages.FILE_OTHER_FORMAT(file=str(file), format="Python")
    return None


def _check_foreign(values: Mapping[str, Any], file: Path) -> None:
    """Raises Refused, naming the command that translates it, for an option file of BasicSR or mmagic."""
    kind = kind_of_keys(values)
    if kind is not None:
        raise messages.FOREIGN_FILE(file=str(file), kind=kind)


def _alerts(block: Any, file: Path) -> dict[str, Any]:
    """The keys for `alerts:` with `on` (a list, or text with commas), `url` and `format`."""
    if block is None:
        return {}
    keys = {name: f"alerts_{name}" for name in ("on", "url", "format")}
    block = {"on" if key is True else key: value for key, value in block.items()} if isinstance(block, dict) else block
    if not isinstance(block, dict) or not block.keys() <= keys.keys():
        raise messages.FILE_ALERTS(file=str(file), keys=one_of(tuple(keys)))
    if isinstance(block.get("on"), list):
        block["on"] = ",".join(map(str, block["on"]))
    return {keys[key]: value for key, value in block.items()}


def _read_yaml(file: Path) -> Any:
    import yaml  # 20 ms that status commands do not need

    class Loader(yaml.SafeLoader):
        """YAML where 2e-4 is a number, and a duplicate key is an error."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"{show(key.value)} is set twice", key.start_mark
                        )
                    keys.add(key.value)
            return super().construct_mapping(node, deep=deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), Loader)
        if _contains_itself(values, set(), set()):
            raise messages.FILE_CONTAINS_ITSELF(file=str(file))
        return values
    except FileNotFoundError:
        raise messages.NO_CONFIG_FILE(file=str(file)) from None
    except OSError as error:
        raise messages.FILE_UNREADABLE(file=str(file), why=error.strerror) from None
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise messages.FILE_NOT_YAML(file=str(file)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise _other_format(file) or messages.FILE_SYNTAX(file=str(file), why=error.problem, place=where) from None
    except yaml.YAMLError:
        raise messages.FILE_CHARACTERS(file=str(file)) from None
