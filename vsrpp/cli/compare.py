"""compare: where runs part, printed, drawn, and put on the newest of them."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import Any

from vsrpp import control, paths
from vsrpp.cli.commands import runs_folder
from vsrpp.cli.compare_tables import aligned, sections
from vsrpp.control import compare as comparing
from vsrpp.control.compare import Record
from vsrpp.errors import NotFound, Refused, VsrppError
from vsrpp.output import bold, dim, green, print_json
from vsrpp.tracking import uri_of


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
        print(aligned(table) if len(table) > 1 else dim("  no difference"))
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
