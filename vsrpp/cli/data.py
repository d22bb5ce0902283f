"""The command data: shows how the trainer would read a path, optionally with a contact sheet; or packs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp import formats, paths
from vsrpp.cli import early, messages, yaml_notes
from vsrpp.cli.json_output import print_json
from vsrpp.output import Column, LiveLine, bold, has_live_line, print_table, say, yellow
from vsrpp.safe_text import safe

if TYPE_CHECKING:
    from vsrpp.data.survey import Survey

_CONFIG_SUFFIXES = (".yaml", ".yml")
_LONGEST_LIST = 40


def data(
    arguments: list[str], *, read_all: bool, sheet: Path | None, overwrite: bool, settings: list[str], plugins: list[str],
    as_json: bool, run_dir: Path | None = None,
) -> int:  # fmt: skip
    """`vsrpp data PATH`, or `vsrpp data pack PATH OUT`. `run_dir`, an option of every command, is ignored.

    Raises Refused or NotFound.
    """
    if arguments[0] == "pack" and len(arguments) == 3:
        if read_all:
            raise messages.PACK_READS_ALL()
        if sheet is not None or overwrite:
            raise messages.PACK_WITHOUT_SHEET()
        return _pack(arguments[1], Path(arguments[2]), settings, plugins, as_json)
    if len(arguments) != 1:
        raise messages.DATA_USAGE()
    if overwrite and sheet is None:
        raise messages.OVERWRITE_WITHOUT_SHEET()
    if sheet is not None:
        early.check_new_file(sheet, overwrite=overwrite)
    early.check_input(arguments[0])
    run_config = _run_config(arguments[0], settings, plugins)
    if sheet is not None:
        _check_sheet(sheet.expanduser().resolve(), run_config)
    read = _read_all(arguments[0], run_config, as_json) if read_all else None
    return _describe(run_config, sheet, read, as_json)


def _read_all(path: str, run_config: dict[str, Any], as_json: bool) -> dict[str, Any]:
    """What reading every frame has found, as JSON. Raises Refused, after listing them, if there are unreadable files."""
    from vsrpp.data import find_all, read_all
    from vsrpp.data.survey import Survey

    survey = Survey.of(None)
    read = read_all(find_all(run_config, survey), _share_read())
    if read.unreadable:
        if as_json:
            print_json({"read": read.to_json(), **survey.to_json()})
        else:
            _print_notes(survey)
        for problem in () if as_json else read.unreadable:
            say(f"✖ {safe(problem.clip)}, frame {problem.frame}: {safe(problem.error)}")
        raise messages.DATA_UNREADABLE(path=path, count=len(read.unreadable), readable=f"{read.frames:,}")
    if not as_json:
        say(f"every frame can be read: {read.frames:,} in {read.clips:,} clip{'s' * (read.clips != 1)}")
    return read.to_json()


def _check_sheet(sheet: Path, run_config: dict[str, Any]) -> None:
    """Raises Refused for a picture inside a folder of the data, where it would be taken for a frame."""
    from vsrpp.data.block import folders_of

    for folder in folders_of(run_config):
        if sheet.is_relative_to(folder):
            raise messages.SHEET_IN_DATA(path=sheet, folder=folder)


def _describe(run_config: dict[str, Any], sheet: Path | None, read: dict[str, Any] | None, as_json: bool) -> int:
    from vsrpp.data import describe, look_at_data

    opened = look_at_data(run_config, cache_dir=paths.cache_dir(), progress=_progress("decoding"))
    description = describe(opened)
    clips, drawn = description["clips"], 0
    if sheet is not None:
        from vsrpp.data.sheet import contact_sheet

        sheet = sheet.expanduser().absolute()
        drawn = contact_sheet(opened, [clip["split"] for clip in clips], sheet)
    if as_json:
        print_json({**description, "sheet": str(sheet) if sheet else None, "read": read})
        return 0
    _print(description, opened.train.sampling.describe())
    _print_notes(opened.survey)
    if sheet is not None:
        say(f"contact sheet of {drawn} of {len(clips)} clips: {safe(str(sheet))}")
    return 0


def _run_config(path: str, settings: list[str], plugins: list[str]) -> dict[str, Any]:
    """The run config with `path` as its data, or that of the config file if `path` is one."""
    from vsrpp.launch.request import RankCommand, TrainRequest
    from vsrpp.launch.run_configs import resolve

    is_config = path.endswith(_CONFIG_SUFFIXES)
    if is_config:
        yaml_notes.tell(Path(path))
    request = TrainRequest(
        rank_command=RankCommand(module="", arguments=()), config=path if is_config else None,
        data=None if is_config else path, settings=tuple(settings), plugins=tuple(plugins),
    )  # fmt: skip
    return resolve(request, None)[0]


def _print(description: dict[str, Any], sample: str) -> None:
    from vsrpp.data import note_lines, sample_line

    kind, windows = description["kind"], description["samples_per_epoch"]
    say(f"{bold(kind)}: {windows} training windows of {sample}")
    clips = description["clips"]
    columns = [
        Column(title="CLIP"), Column(title="FRAMES", right=True), Column(title="SIZE", right=True),
        Column(title="SMALL FRAMES"), Column(title="SPLIT"),
    ]  # fmt: skip
    print_table(columns, [_row(clip) for clip in clips[:_LONGEST_LIST]])
    if line := sample_line(description["validation"]):
        say(safe(line))
    for line in note_lines((clip["name"], clip["notes"]) for clip in clips):
        say(f"⚠️  {safe(line)}")
    if len(clips) > _LONGEST_LIST:
        val = sum("val" in clip["split"] for clip in clips)
        say(f"… and {len(clips) - _LONGEST_LIST} more (all: --json); {len(clips)} clips, {val} of them for validation")


def _print_notes(survey: Survey) -> None:
    for line in survey.lines(None):
        say(yellow(f"⚠️  {safe(line)}"))


def _row(clip: dict[str, Any]) -> list[str]:
    frames = f"{clip['train_frames']} train, {clip['val_frames']} validation"
    degradation = "given (LQ)" if clip["paired"] else clip["degradation"]
    size = f"{clip['width']}×{clip['height']}"
    return [safe(clip["name"]), str(clip["frames"]), size, degradation, f"{clip['split']} ({frames})"]


def _pack(path: str, folder: Path, settings: list[str], plugins: list[str], as_json: bool) -> int:
    if path.endswith(_CONFIG_SUFFIXES):
        raise messages.PACK_CONFIG(path=path)
    early.check_input(path)
    from vsrpp.data import added
    from vsrpp.data.pack import pack
    from vsrpp.data.survey import Survey

    run_config = _run_config(path, settings, plugins)
    added.join(run_config)
    survey = Survey.of(None)
    packed = pack(
        path, folder, scale=run_config["scale"], degradation=run_config["degradation"],
        reader_version=run_config["reader_version"], progress=_progress("packing"), survey=survey,
    )  # fmt: skip
    if as_json:
        print_json(packed)
    else:
        say(
            f"packed {packed['clips']} clips, {packed['frames']} frames, {formats.size(packed['bytes'])}:"
            f" --data {safe(packed['path'])}"
        )
        _print_notes(survey)
    return 0


def _share_read() -> Callable[[int, int], None]:
    """A progress line while everything is read; only in a terminal."""
    if not has_live_line(stderr=True):
        return lambda *_: None
    line = LiveLine(stderr=True)

    def show(done: int, total: int) -> None:
        line.draw(f"reading all frames: {done / total:.0%}", done / total)
        if done == total:
            line.clear()

    return show


def _progress(activity: str) -> Callable[[str, int, int], None]:
    """A progress line on standard error, redrawn in place; only in a terminal."""
    if not has_live_line(stderr=True):
        return lambda *_: None
    line = LiveLine(stderr=True)

    def show(name: str, done: int, expected: int) -> None:
        line.draw(f"{activity} {name}: {done} of {expected} frames", done / expected if expected else None)
        if done >= expected:
            line.clear()

    return show
