"""Reads the option files of BasicSR (YAML) and mmagic or mmedit (Python), without running anything in them.

Every value keeps its place (file and line), so that an import can say where it came from.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

BASICSR = "BasicSR"
MMAGIC = "mmagic"
_BASICSR_KEYS = frozenset({"model_type", "network_g", "datasets", "num_gpu"})
_MMAGIC_KEYS = frozenset(
    {"train_dataloader", "train_cfg", "optim_wrapper", "train_pipeline", "default_hooks", "param_scheduler",
     "optimizers", "lr_config", "checkpoint_config", "total_iters"}
)  # fmt: skip
_MOST_VALUES = 100_000
_EXPONENT = re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")


class Options(dict[str, Any]):
    """Keys and values, with the place of each: `train_BasicVSR_REDS.yml:14`."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, str] = {}

    def put(self, key: str, value: Any, place: str) -> None:
        self[key] = value
        self.places[key] = place

    def leaves(self, above: str = "", inherited: str = "") -> Iterator[tuple[str, Any, str]]:
        """(dotted key, value, place) of everything that is not a block. An empty block is a leaf."""
        for key, value in self.items():
            dotted = f"{above}.{key}" if above else key
            place = self.places.get(key, inherited)
            if isinstance(value, Options) and value:
                yield from value.leaves(dotted, place)
            else:
                yield dotted, value, place

    def at(self, dotted: str) -> tuple[Any, str] | None:
        """(value, place) under a dotted key; None if there is none."""
        block: Any = self
        place = ""
        for name in dotted.split("."):
            if not isinstance(block, Options) or name not in block:
                return None
            block, place = block[name], block.places.get(name, place)
        return block, place


def check_size(values: Options) -> None:
    """Raises ValueError for more values than an option file has, counting each repetition by an alias or a variable."""
    left = _MOST_VALUES
    waiting: list[Any] = [values]
    while waiting:
        value = waiting.pop()
        left -= len(value)
        if left < 0:
            raise ValueError(f"more than {_MOST_VALUES:,} values")
        parts = value.values() if isinstance(value, dict) else value
        waiting += [part for part in parts if isinstance(part, (dict, list))]


def kind_of_keys(keys: Collection[Any]) -> str | None:
    """`BasicSR` or `mmagic` if these are the top keys of one of their option files, else None."""
    if len(_BASICSR_KEYS & set(keys)) >= 2:
        return BASICSR
    return MMAGIC if "_base_" in keys or len(_MMAGIC_KEYS & set(keys)) >= 2 else None


def kind_of(text: str, name: str) -> str | None:
    """Which project's option file a text is, as YAML or as Python; None for anything else."""
    for read in (read_yaml, _assigned_in):
        with contextlib.suppress(ValueError, RecursionError, MemoryError):
            kind = kind_of_keys(read(text, name))
            if kind is not None:
                return kind
    return None


def _assigned_in(text: str, _name: str) -> set[str]:
    """The names that a Python text assigns at its top. Raises ValueError if it is not Python."""
    try:
        body = ast.parse(text).body
    except SyntaxError as error:
        raise ValueError(str(error)) from None
    targets = [target for one in body if isinstance(one, ast.Assign) for target in one.targets]
    bases = {"_base_"} if any(_reads_base(one) for one in body) else set()
    return {target.id for target in targets if isinstance(target, ast.Name)} | bases


def _reads_base(statement: ast.stmt) -> bool:
    """Whether it is mmengine's `with read_base(): from .x import *`."""
    return isinstance(statement, ast.With) and "read_base" in ast.unparse(statement.items[0].context_expr)


def read_base_imports(statement: ast.stmt) -> list[tuple[str, int]] | None:
    """The files that mmengine's `with read_base():` imports, as relative paths with lines; None for other statements."""
    if not _reads_base(statement):
        return None
    assert isinstance(statement, ast.With)
    return [
        ("../" * (one.level - 1) + (one.module or "").replace(".", "/") + ".py", one.lineno)
        for one in statement.body
        if isinstance(one, ast.ImportFrom) and one.level
    ]


def read_yaml(text: str, name: str) -> Options:
    """A YAML file of BasicSR: tags other than YAML's own are ignored, the last of two equal keys counts.

    Raises ValueError, with line and column, for text that is not YAML, or that holds no keys.
    """
    import yaml  # 20 ms that status commands do not need

    class _OptionLoader(yaml.SafeLoader):
        """YAML where 2e-4 is a number."""

    def block(loader: _OptionLoader, node: yaml.MappingNode) -> Options:
        loader.flatten_mapping(node)
        made = Options()
        for key, value in node.value:
            made.put(str(key.value), loader.construct_object(value, deep=True), f"{name}:{key.start_mark.line + 1}")
        return made

    def untagged(loader: _OptionLoader, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return block(loader, node)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return node.value

    _OptionLoader.add_constructor("tag:yaml.org,2002:map", block)
    _OptionLoader.add_constructor(None, untagged)
    _OptionLoader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
    try:
        values = yaml.load(text, _OptionLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{error.problem}{where}") from None
    except (yaml.YAMLError, AttributeError) as error:  # a key that is a list has no text
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(values, Options):
        raise ValueError("expected keys and values")
    check_size(values)
    return values


def merged(base: Options, own: Mapping[str, Any]) -> Options:
    """`own` laid over `base` as mmengine does: blocks are merged, unless one says `_delete_`; all else replaces."""
    result = Options()
    for source in (base, own):
        for key, value in source.items():
            place = source.places.get(key, "") if isinstance(source, Options) else ""
            below = result.get(key)
            if isinstance(value, Options) and source is own:
                over = isinstance(below, Options) and not value.get("_delete_")
                value = merged(below if over and isinstance(below, Options) else Options(), value)
                value.pop("_delete_", None)
            result.put(key, value, place)
    return result


def config_names(folder: Path, written: Any) -> list[Path]:
    """The files that `_base_` names, a path or a list of them, relative to the file that says so."""
    names = written if isinstance(written, (list, tuple)) else [written]
    return [folder / name for name in names if isinstance(name, str)]
