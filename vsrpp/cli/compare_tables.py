"""A comparison of runs as titled tables, for the terminal and for the page."""

from __future__ import annotations

from typing import Any

from vsrpp.cli.status import best_text
from vsrpp.control.compare import LOSS, PSNR_Y, SSIM_Y
from vsrpp.formats import counted, value
from vsrpp.output import Column, print_table
from vsrpp.safe_text import safe

TITLES = {LOSS: "Loss", PSNR_Y: "PSNR-Y (dB)", SSIM_Y: "SSIM-Y"}
FORMS = {LOSS: ".5f", PSNR_Y: ".3f", SSIM_Y: ".4f"}
Table = list[list[str]]
"""Rows of cells, starting with a heading row."""
INTERVENTIONS_SHOWN = 500
"""The newest ones; `--json` has all."""
CHANGES_SHOWN = 20
"""Values of a parameter in one cell, the newest ones beside the first."""
_WIDEST = 44
"""Maximum width of a cell before it is wrapped."""


def sections(comparison: dict[str, Any]) -> list[tuple[str, Table]]:
    """The comparison as titled tables, each starting with a heading row."""
    labels = names(comparison)
    tables = [
        ("Runs", _runs(comparison, labels)),
        ("Run config", [["key", *labels], *([r["key"], *(value(r["key"], cell) for cell in r["values"])]
                                            for r in comparison["run_config"])]),
        ("Live config", [["key", *labels], *([r["key"], *(_stretch(r["key"], stretch) for stretch in r["changes"])]
                                            for r in comparison["live_config"])]),
        ("Interventions", _interventions(comparison, labels)),
    ]  # fmt: skip
    return tables + [_result(comparison, key, labels) for key in TITLES]


def names(comparison: dict[str, Any]) -> list[str]:
    """A short label for each run: its name and the start of its ID."""
    return [
        safe(f"{row['name']} {row['run_id'][:8]}") if row["name"] else row["run_id"][:8] for row in comparison["runs"]
    ]


def _runs(comparison: dict[str, Any], labels: list[str]) -> Table:
    def best(row: dict[str, Any]) -> str:
        return best_text(row["best"], "@")

    def last(row: dict[str, Any], key: str, form: str) -> str:
        return "–" if row["last"][key] is None else f"{row['last'][key]:{form}}"

    def parent(row: dict[str, Any]) -> str:
        return f"{str(row['parent']['run_id'])[:8]} @ {row['parent']['step']}" if row["parent"] else "–"

    runs = comparison["runs"]
    parted = comparison["parted"]
    width = len(runs) - 1
    return [
        ["", *labels],
        ["run", *(row["run_id"] for row in runs)],
        ["state", *(f"{row['state']} at step {row['last_step']}" for row in runs)],
        ["started from", *map(parent, runs)],
        ["revision, branch", *(f"{row['revision']}, {row['branch']}" for row in runs)],
        ["code", *(str(row["code_version"] or "–")[:12] for row in runs)],
        ["data", *(str(row["data_fingerprint"] or "–")[:12] for row in runs)],
        ["best PSNR-Y", *map(best, runs)],
        ["last PSNR-Y", *(last(row, "psnr_y", ".3f") for row in runs)],
        ["last SSIM-Y", *(last(row, "ssim_y", ".4f") for row in runs)],
        ["last loss", *(last(row, "loss", ".5f") for row in runs)],
        ["live configs differ", _from(parted["live_config_step"]), *[""] * width],
        ["losses differ", _from(parted["loss_step"]), *[""] * width],
    ]


def _from(step: int | None) -> str:
    return "never" if step is None else f"from step {step}"


def _stretch(key: str, changes: list[dict[str, Any]]) -> str:
    first, *later = changes or [{"step": 0, "value": None}]
    values = [
        value(key, first["value"]),
        *([f"{len(later) - CHANGES_SHOWN} more"] if len(later) > CHANGES_SHOWN else []),
        *(f"{value(key, change['value'])} from {change['step']}" for change in later[-CHANGES_SHOWN:]),
    ]
    return ", ".join(values)


def _interventions(comparison: dict[str, Any], labels: list[str]) -> Table:
    rows, shown = [["step", *labels]], comparison["interventions"][-INTERVENTIONS_SHOWN:]
    earlier = len(comparison["interventions"]) - len(shown)
    if earlier:
        rows.append(
            ["…", f"{counted(earlier, 'earlier step')} with interventions, see --json", *[""] * (len(labels) - 1)]
        )
    for row in shown:
        for number in range(max(map(len, row["runs"]))):
            cells = [_intervention(cell[number]) if number < len(cell) else "" for cell in row["runs"]]
            rows.append([str(row["step"]), *cells])
    return rows


def _intervention(row: dict[str, Any]) -> str:
    line = row["what"] + (f" by {row['who']}" if row["who"] else "") + (f": {row['why']}" if row["why"] else "")
    effect = row["effect"] or {}
    figures = []
    for name, key, form in (("loss", "loss", ".4g"), ("PSNR-Y", "psnr_y", ".2f")):
        before, since = effect.get(f"{key}_before"), effect.get(f"{key}_since")
        if before is not None and since is not None:
            figures.append(f"{name} {before:{form}} → {since:{form}}")
    return line + (f" [{', '.join(figures)}]" if figures else "")


def _result(comparison: dict[str, Any], key: str, labels: list[str]) -> tuple[str, Table]:
    steps, values = comparison["results"][key]["steps"], comparison["results"][key]["values"]
    rows = [["step", *labels]]
    for number, step in enumerate(steps):
        row = [curve[number] for curve in values]
        rows.append([str(step), *("–" if figure is None else f"{figure:{FORMS[key]}}" for figure in row)])
    return f"{TITLES[key]} at common steps", rows if steps else rows[:1]


def print_section(table: Table) -> None:
    """Print a table to the terminal, with aligned columns and wrapped cells."""
    heads, *rows = [[safe(cell) for cell in row] for row in table]
    columns = [Column(title=head, widest=_WIDEST) for head in heads]
    print_table(columns, [[f"  {row[0]}", *row[1:]] for row in rows], indent=2)
