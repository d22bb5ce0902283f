"""compare: where runs part, printed, drawn, and put on the newest of them."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import Any

from vsrpp import config, control, paths
from vsrpp.cli.commands import runs_folder
from vsrpp.control import compare as comparing
from vsrpp.control.compare import LOSS, PSNR_Y, SSIM_Y, Record
from vsrpp.errors import NotFound, Refused, VsrppError
from vsrpp.output import bold, dim, green, print_json
from vsrpp.tracking import uri_of

TITLES = {LOSS: "Loss", PSNR_Y: "PSNR-Y (dB)", SSIM_Y: "SSIM-Y"}
FORMS = {LOSS: ".5f", PSNR_Y: ".3f", SSIM_Y: ".4f"}
Table = list[list[str]]


def compare(options: argparse.Namespace) -> int:
    """Raises Refused for fewer than two runs or one twice, NotFound for one that neither disk nor server has."""
    runs = runs_folder(options)
    records = [_record(name, runs) for name in options.targets]
    ids = [record.run_id for record in records]
    if len(set(ids)) < 2:
        raise Refused(
            "compare needs two runs or more, each once." if len(ids) < 2 else f"{ids[0]} is one run: give two."
        )
    if len(set(ids)) < len(ids):
        twice = next(run_id for run_id in ids if ids.count(run_id) > 1)
        raise Refused(f"{twice} is given twice: each run once.")
    found = comparing.compare(records)
    files = _files(options, found, records)
    if options.json:
        print_json(found)
        return 0
    for title, table in sections(found):
        print(bold(title))
        print(_text(table) if len(table) > 1 else dim("  no difference"))
        print()
    for path in files:
        print(f"{path}")
    return 0


def _record(name: str, runs: Path) -> Record:
    try:
        return comparing.local_record(control.find_run(name, runs))
    except NotFound as not_here:
        from vsrpp.tracking.compared import server_record

        try:
            return server_record(name, paths.tracking_uri(runs))
        except NotFound as not_there:
            raise NotFound(f"{not_here} {not_there}") from None


# ---- files
def _files(options: argparse.Namespace, found: dict[str, Any], records: list[Record]) -> list[Path]:
    """Write what was asked for; a page for the server goes through a temporary folder."""
    wanted = [(Path(name), kind) for name, kind in ((options.html, "html"), (options.png, "png")) if name]
    if not (wanted or options.log_artifact):
        return []
    from vsrpp.cli.compare_page import html, png

    drawn = {"html": lambda: html(found, records).encode(), "png": lambda: png(found, records)}
    for path, kind in wanted:
        try:
            path.write_bytes(drawn[kind]())
        except OSError as error:
            raise VsrppError(f"{path} cannot be written: {error.strerror}.") from None
    if options.log_artifact:
        _log_artifact(options, found, {f"comparison.{kind}": draw() for kind, draw in drawn.items()})
    return [path.resolve() for path, _ in wanted]


def _log_artifact(options: argparse.Namespace, found: dict[str, Any], contents: dict[str, bytes]) -> None:
    from vsrpp.tracking.compared import FOLDER, attach

    newest = max(found["runs"], key=lambda row: float(row["started"]))["run_id"]
    runs = runs_folder(options)
    uri = paths.tracking_uri(runs)
    with contextlib.suppress(NotFound):
        uri = uri_of(control.find_run(newest, runs), uri)
    with tempfile.TemporaryDirectory(prefix="vsrpp-") as folder:
        files = []
        for name, content in contents.items():
            files.append(Path(folder) / name)
            files[-1].write_bytes(content)
        mlflow_run = attach(newest, uri, files)
    if not options.json:
        print(green(f"✅ {', '.join(contents)}: artifacts of MLflow run {mlflow_run}, under {FOLDER}/"))


# ---- tables
def sections(found: dict[str, Any]) -> list[tuple[str, Table]]:
    """The comparison as titled tables, a heading row first: for the terminal and for the page."""
    labels = names(found)
    tables = [
        ("Runs", _runs(found, labels)),
        ("Run config", [["key", *labels], *([r["key"], *map(_value(r["key"]), r["values"])] for r in found["run_config"])]),
        ("Live config", [["key", *labels], *([r["key"], *(_stretch(r["key"], one) for one in r["changes"])]
                                            for r in found["live_config"])]),
        ("Interventions", _interventions(found, labels)),
    ]  # fmt: skip
    return tables + [_result(found, key, labels) for key in TITLES]


def names(found: dict[str, Any]) -> list[str]:
    """A short label for each run: its name, with the beginning of its ID."""
    return [f"{row['name']} {row['run_id'][:8]}" if row["name"] else row["run_id"][:8] for row in found["runs"]]


def _runs(found: dict[str, Any], labels: list[str]) -> Table:
    def best(row: dict[str, Any]) -> str:
        return f"{row['best']['psnr_y']:.3f} dB @ {row['best']['step']}" if row["best"] else "–"

    def last(row: dict[str, Any], key: str, form: str) -> str:
        return "–" if row["last"][key] is None else f"{row['last'][key]:{form}}"

    def parent(row: dict[str, Any]) -> str:
        return f"{str(row['parent']['run_id'])[:8]} @ {row['parent']['step']}" if row["parent"] else "–"

    runs = found["runs"]
    parted = found["parted"]
    width = len(runs) - 1
    return [
        ["", *labels],
        ["run", *(row["run_id"] for row in runs)],
        ["state", *(f"{row['state']} at step {row['last_step']}" for row in runs)],
        ["began from", *map(parent, runs)],
        ["revision, branch", *(f"{row['revision']}, {row['branch']}" for row in runs)],
        ["code", *(str(row["code_version"] or "–")[:12] for row in runs)],
        ["data", *(str(row["data_fingerprint"] or "–")[:12] for row in runs)],
        ["best PSNR-Y", *map(best, runs)],
        ["last PSNR-Y", *(last(row, "psnr_y", ".3f") for row in runs)],
        ["last SSIM-Y", *(last(row, "ssim_y", ".4f") for row in runs)],
        ["last loss", *(last(row, "loss", ".5f") for row in runs)],
        ["live configs part", _from(parted["live_config_step"]), *[""] * width],
        ["losses part", _from(parted["loss_step"]), *[""] * width],
    ]


def _from(step: int | None) -> str:
    return "never" if step is None else f"at step {step}"


def _value(key: str) -> Any:
    return lambda value: "–" if value is None else config.format_value(key, value)


def _stretch(key: str, changes: list[dict[str, Any]]) -> str:
    first, *later = changes or [{"step": 0, "value": None}]
    told = [_value(key)(first["value"]), *(f"{_value(key)(change['value'])} from {change['step']}" for change in later)]
    return ", ".join(told)


def _interventions(found: dict[str, Any], labels: list[str]) -> Table:
    rows = [["step", *labels]]
    for row in found["interventions"]:
        for number in range(max(map(len, row["runs"]))):
            cells = [_done(cell[number]) if number < len(cell) else "" for cell in row["runs"]]
            rows.append([str(row["step"]), *cells])
    return rows


def _done(one: dict[str, Any]) -> str:
    told = one["what"] + (f" by {one['who']}" if one["who"] else "") + (f": {one['why']}" if one["why"] else "")
    effect = one["effect"] or {}
    seen = []
    for name, key, form in (("loss", "loss", ".4g"), ("PSNR-Y", "psnr_y", ".2f")):
        before, since = effect.get(f"{key}_before"), effect.get(f"{key}_since")
        if before is not None and since is not None:
            seen.append(f"{name} {before:{form}} → {since:{form}}")
    return told + (f" [{', '.join(seen)}]" if seen else "")


def _result(found: dict[str, Any], key: str, labels: list[str]) -> tuple[str, Table]:
    steps, values = found["results"][key]["steps"], found["results"][key]["values"]
    rows = [["step", *labels]]
    for number, step in enumerate(steps):
        row = [curve[number] for curve in values]
        rows.append([str(step), *("–" if value is None else f"{value:{FORMS[key]}}" for value in row)])
    return f"{TITLES[key]} at common steps", rows if steps else rows[:1]


_WIDEST = 44


def _text(table: Table) -> str:
    """Columns aligned, long cells wrapped."""
    import textwrap

    wrapped = [[textwrap.wrap(cell, _WIDEST) or [""] for cell in row] for row in table]
    widths = [max(len(line) for row in wrapped for line in row[column]) for column in range(len(table[0]))]
    lines = []
    for number, row in enumerate(wrapped):
        for part in range(max(map(len, row))):
            cells = (cell[part] if part < len(cell) else "" for cell in row)
            line = "  " + "  ".join(f"{text:{width}}" for text, width in zip(cells, widths, strict=True)).rstrip()
            lines.append(dim(line) if number == 0 else line)
    return "\n".join(lines)
