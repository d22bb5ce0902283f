"""The command compare: prints the comparison, writes it to files, and attaches it to the newest run."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from vsrpp import control, paths
from vsrpp.cli import early, messages
from vsrpp.cli.compare_tables import print_section, sections
from vsrpp.cli.json_output import print_json
from vsrpp.control import compare as comparing
from vsrpp.control.compare import Record
from vsrpp.errors import NotFound
from vsrpp.output import bold, dim, green, say
from vsrpp.safe_text import safe
from vsrpp.tracking import uri_of


def compare(
    names: list[str], *, html: str | None, png: str | None, log_artifact: bool, run_dir: Path | None, as_json: bool
) -> int:
    """Raises Refused for fewer than two runs or a repeated one, NotFound for a run on neither disk nor server."""
    runs = paths.runs_dir(run_dir)
    for file in filter(None, (html, png)):
        early.check_folder_of(Path(file))
    records = [_record(name, runs) for name in names]
    _check_distinct([record.run_id for record in records])
    comparison = comparing.compare(records)
    wanted = [(Path(name), kind) for name, kind in ((html, "html"), (png, "png")) if name]
    files = _files(comparison, records, wanted, runs, log_artifact=log_artifact, as_json=as_json)
    if as_json:
        print_json(comparison)
        return 0
    for title, table in sections(comparison):
        say(bold(title))
        if len(table) > 1:
            print_section(table)
        else:
            say(dim("  no difference"))
        say()
    for path in files:
        say(safe(str(path)))
    return 0


def _check_distinct(ids: list[str]) -> None:
    if len(set(ids)) < 2:
        raise messages.COMPARE_ONE() if len(ids) < 2 else messages.COMPARE_TWICE(run=ids[0])
    if len(set(ids)) < len(ids):
        twice = next(run_id for run_id in ids if ids.count(run_id) > 1)
        raise messages.COMPARE_TWICE(run=twice)


def _record(name: str, runs: Path) -> Record:
    try:
        return comparing.local_record(control.find_run(name, runs))
    except NotFound as not_here:
        uri = paths.tracking_uri(runs)
        if name == "latest" or not early.has_server(uri):
            raise
        early.asking(uri)
        from vsrpp.tracking.compared import server_record

        try:
            return server_record(name, uri)
        except NotFound as not_there:
            raise NotFound(
                f"{not_here} {not_there}", reason_code=not_here.reason_code, fields=not_here.fields
            ) from None


# ---- files
def _files(
    comparison: dict[str, Any], records: list[Record], wanted: list[tuple[Path, str]], runs: Path, *,
    log_artifact: bool, as_json: bool,
) -> list[Path]:  # fmt: skip
    """Write the requested files; those for the server go through a temporary folder."""
    if not (wanted or log_artifact):
        return []
    from vsrpp.cli.compare_page import html, png

    drawn = {"html": lambda: html(comparison, records).encode(), "png": lambda: png(comparison, records)}
    for path, kind in wanted:
        try:
            path.write_bytes(drawn[kind]())
        except OSError as error:
            raise messages.CANNOT_WRITE(path=path, why=error.strerror) from None
    if log_artifact:
        contents = {f"comparison.{kind}": draw() for kind, draw in drawn.items()}
        line = _log_artifact(comparison, contents, runs)
        if not as_json:
            say(green(line))
    return [path.resolve() for path, _ in wanted]


def _log_artifact(comparison: dict[str, Any], contents: dict[str, bytes], runs: Path) -> str:
    """Attach files to the newest run in MLflow; returns a line that says where they are."""
    from vsrpp.tracking.compared import FOLDER, attach

    newest = max(comparison["runs"], key=lambda row: float(row["started"]))["run_id"]
    uri = paths.tracking_uri(runs)
    with contextlib.suppress(NotFound):
        uri = uri_of(control.find_run(newest, runs), uri)
    with tempfile.TemporaryDirectory(prefix="vsrpp-") as folder:
        files = []
        for name, content in contents.items():
            files.append(Path(folder) / name)
            files[-1].write_bytes(content)
        mlflow_run = attach(newest, uri, files)
    return f"✅ {', '.join(contents)}: artifacts of MLflow run {mlflow_run}, under {FOLDER}/"
