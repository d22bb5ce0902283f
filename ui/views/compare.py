"""Several runs side by side: MLflow's own compare page where there is a server, and the commands otherwise."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from vsrpp.safe_text import HIDDEN, redact

from ..markup import Piece, piece

MOST = 10
LOCAL_UI = "http://127.0.0.1:5000"


def web_address(uri: str) -> str:
    """Where a tracking server shows its pages, redacted; empty for a file or a database."""
    if not uri.startswith(("http://", "https://")):
        return ""
    shown = redact(uri, path=True)
    return "" if HIDDEN in shown else shown.rstrip("/")


def run_link(known: Mapping[str, Any] | None) -> str:
    """The address of a run in MLflow's pages; empty without a server. `known`: {run_id, experiment_id, uri}."""
    base = web_address(str((known or {}).get("uri") or ""))
    if not base or not known:
        return ""
    return f"{base}/#/experiments/{quote(str(known['experiment_id']))}/runs/{quote(str(known['run_id']))}"


def compare_link(base: str, known: Sequence[Mapping[str, Any]]) -> str:
    """MLflow's page that sets these runs side by side."""
    runs = json.dumps([str(run["run_id"]) for run in known], separators=(",", ":"))
    experiments = json.dumps(sorted({str(run["experiment_id"]) for run in known}), separators=(",", ":"))
    return f"{base}/#/compare-runs?runs={quote(runs, safe='')}&experiments={quote(experiments, safe='')}"


def compare(picked: Sequence[Mapping[str, Any]], *, can_compare: bool) -> Piece:
    """What can be done with the ticked rows of the table of runs; each row: run_id, mlflow."""
    if len(picked) < 2:
        return piece("compare", few=True)
    ids = [str(row["run_id"]) for row in picked]
    own = shlex.join(["vsrpp", "compare", *ids]) if can_compare else ""
    known = [row["mlflow"] for row in picked if row.get("mlflow")]
    stores = sorted({str(run["uri"]) for run in known})
    base = web_address(stores[0]) if stores else ""
    return piece(
        "compare", few=False, own=own, missing=[str(row["run_id"]) for row in picked if not row.get("mlflow")],
        apart=len(stores) > 1, server=base, link=compare_link(base or LOCAL_UI, known), runs=len(known),
        start=shlex.join(["mlflow", "ui", "--backend-store-uri", *stores]),
    )  # fmt: skip
