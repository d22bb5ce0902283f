"""The command import-config: a config for VSR++ from an option file of BasicSR or mmagic."""

from __future__ import annotations

from pathlib import Path

from vsrpp.cli import early, messages
from vsrpp.cli.json_output import print_json
from vsrpp.config.import_rules import Row
from vsrpp.config.importing import Fate, Imported, import_options
from vsrpp.config.text import show
from vsrpp.output import Column, bold, green, print_table, say, yellow
from vsrpp.safe_text import safe

_PARTS: tuple[tuple[Fate, str, str], ...] = (
    ("maps", "Maps", "VSR++"),
    ("differs", "Differs in meaning", "VSR++"),
    ("none", "Has no counterpart", "WHY"),
)


def import_config(
    file: Path, output: Path | None, *, gpus: int | None, overwrite: bool, as_json: bool, run_dir: Path | None = None
) -> int:
    """Write the config, by default into the current folder, and list what became of every option.

    `run_dir`, an option of every command, is ignored. Raises Refused, NotFound or VsrppError.
    """
    if gpus is not None and gpus < 1:
        raise messages.GPUS(gpus=gpus)
    output = output or Path(f"{file.stem}.vsrpp.yaml")
    early.check_new_file(output, overwrite=overwrite)
    early.check_folder_of(output)
    imported = import_options(file.expanduser(), gpus)
    try:
        output.expanduser().write_text(imported.text(), encoding="utf-8")
    except OSError as error:
        raise messages.CANNOT_WRITE(path=output, why=error.strerror) from None
    if as_json:
        print_json(_document(imported, output))
    else:
        _print(imported, output)
    return 0


def _document(imported: Imported, output: Path) -> dict[str, object]:
    return {
        "file": str(imported.file), "kind": imported.kind, "bases": imported.bases, "path": str(output),
        "config": imported.config,
        **{fate: [_row(row) for row in imported.of(fate)] for fate, _, _ in _PARTS},
        "not_read": imported.not_read,
    }  # fmt: skip


def _row(row: Row) -> dict[str, object]:
    return {
        "option": row.theirs, "value": row.value, "place": row.place or None, "config": dict(row.ours), "note": row.note or None
    }  # fmt: skip


def _print(imported: Imported, output: Path) -> None:
    bases = f" and {', '.join(imported.bases)}" if imported.bases else ""
    say(f"{imported.kind} option file {safe(str(imported.file))}{safe(bases)}")
    for fate, title, column in _PARTS:
        rows = imported.of(fate)
        if not rows:
            continue
        say("")
        say(bold(f"{title}: {len(rows)}"))
        columns = [Column(title="OPTION"), Column(title="VALUE", widest=36), Column(title=column)]
        print_table(columns, [_cells(row) for row in rows])
    for line in imported.not_read:
        say(yellow(f"⚠️  not read, because it is not plain data: {safe(line)}"), stderr=True)
    if "network" not in imported.config:
        say(yellow("⚠️  the network has no counterpart: as written, the config trains another one"), stderr=True)
    say("")
    say(green(f"✅ {safe(str(output))}: {len(imported.config)} parameters"))
    say(f"Try it: vsrpp train --config {safe(str(output))} --data PATH --check")


def _cells(row: Row) -> list[str]:
    ours = ", ".join(f"{key} = {show(value)}" for key, value in row.ours.items())
    last = f"{ours}: {row.note}" if ours and row.note else ours or row.note or "nothing to set"
    value = show(row.value) if row.place else "not set"
    return [safe(cell) for cell in (row.theirs, value, last)]
