"""data: what the trainer would make of a path, with a contact sheet; and packing it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsrpp import config, formats, paths
from vsrpp.errors import Refused
from vsrpp.output import bold, print_json

SHEET = "contact_sheet.png"
_CONFIG_SUFFIXES = (".yaml", ".yml")
_LONGEST_LIST = 40


def data(
    arguments: list[str], *, sheet: Path | None, settings: list[str], as_json: bool, run_dir: Path | None = None
) -> int:
    """`vsrpp data PATH`, or `vsrpp data pack PATH OUT`. `run_dir`, an option of every command, does nothing here.

    Raises Refused or NotFound.
    """
    if arguments[0] == "pack" and len(arguments) == 3:
        return _pack(arguments[1], Path(arguments[2]), settings, as_json)
    if len(arguments) != 1:
        raise Refused("expected vsrpp data PATH, or vsrpp data pack PATH OUT.")
    return _describe(arguments[0], sheet or Path(SHEET), settings, as_json)


def _describe(path: str, sheet: Path, settings: list[str], as_json: bool) -> int:
    from vsrpp.data import describe, look_at_data
    from vsrpp.data.sheet import contact_sheet

    run_config = _run_config(path, config.parse_assignments(settings))
    opened = look_at_data(run_config, cache_dir=paths.cache_dir(), progress=_progress("decoding"))
    description = describe(opened)
    sheet = sheet.expanduser().absolute()
    on_sheet = contact_sheet(opened, [clip["split"] for clip in description["clips"]], sheet)
    if as_json:
        print_json({**description, "sheet": str(sheet)})
        return 0
    _print(description, run_config["num_frames"])
    print(f"contact sheet of {on_sheet} of {len(description['clips'])} clips: {sheet}")
    return 0


def _run_config(path: str, sets: dict[str, Any]) -> dict[str, Any]:
    """The run config with PATH as its data, or that of the config file that PATH is."""
    from vsrpp.data import with_absolute_paths

    if path.endswith(_CONFIG_SUFFIXES):
        run_config, _ = config.resolve(None, Path(path), sets)
    else:
        run_config, _ = config.resolve(None, None, {**sets, "data": path})
    for key in ("data", "val_data"):
        run_config[key] = with_absolute_paths(run_config[key])
    return run_config


def _print(description: dict[str, Any], num_frames: int) -> None:
    print(f"{bold(description['kind'])}: {description['samples_per_epoch']} windows of {num_frames} frames to train on")
    print(bold(f"{'CLIP':32} {'FRAMES':>6} {'SIZE':>11}  {'SMALL FRAMES':12}  SPLIT"))
    clips = description["clips"]
    for clip in clips[:_LONGEST_LIST]:
        size = f"{clip['width']}×{clip['height']}"
        frames = f"{clip['train_frames']} train, {clip['val_frames']} validation"
        degradation = "given (LQ)" if clip["paired"] else clip["degradation"]
        print(f"{clip['name'][:32]:32} {clip['frames']:>6} {size:>11}  {degradation:12}  {clip['split']} ({frames})")
    if len(clips) > _LONGEST_LIST:
        val = sum("val" in clip["split"] for clip in clips)
        print(f"… and {len(clips) - _LONGEST_LIST} more (all: --json); {len(clips)} clips, {val} of them validate")


def _pack(path: str, folder: Path, settings: list[str], as_json: bool) -> int:
    from vsrpp.data.pack import pack

    if path.endswith(_CONFIG_SUFFIXES):
        raise Refused(f"{path} refused: a packed copy is of one path; pack the sources of a mix one by one.")
    run_config, _ = config.resolve(None, None, {**config.parse_assignments(settings), "data": path})
    packed = pack(
        path, folder, scale=run_config["scale"], degradation=run_config["degradation"], progress=_progress("packing")
    )  # fmt: skip
    if as_json:
        print_json(packed)
    else:
        print(
            f"packed {packed['clips']} clips, {packed['frames']} frames, {formats.size(packed['bytes'])}: --data {packed['path']}"
        )
    return 0


def _progress(activity: str) -> Callable[[str, int, int], None]:
    """A line on standard error that is written over, if a person looks on."""
    if not sys.stderr.isatty():
        return lambda *_: None

    def show(name: str, done: int, expected: int) -> None:
        print(f"\r{activity} {name[:40]}: {done} of {expected} frames \x1b[K", end="", file=sys.stderr, flush=True)
        if done >= expected:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    return show
