"""Several runs side by side: MLflow's own compare page where there is a server, and the commands otherwise."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from ..format import esc
from ..messages import Texts
from .header import command

MOST = 10
LOCAL_UI = "http://127.0.0.1:5000"


def web_address(uri: str) -> str:
    """Where a tracking server shows its pages, without name and password; empty for a file or a database."""
    if not uri.startswith(("http://", "https://")):
        return ""
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


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


def compare(picked: Sequence[Mapping[str, Any]], t: Texts, *, can_compare: bool) -> str:
    """What one can do with the ticked rows of the table of runs; each row: run_id, mlflow."""
    if len(picked) < 2:
        return f'<p class="hint">{esc(t("compare.pick"))}</p>'
    own = ""
    if can_compare:
        line = shlex.join(["vsrpp", "compare", *(str(row["run_id"]) for row in picked)])
        own = f"<p>{esc(t('compare.own'))}</p>{command(line, t)}"
    return f'<div class="commands">{_in_mlflow(picked, t)}{own}</div>'


def _in_mlflow(picked: Sequence[Mapping[str, Any]], t: Texts) -> str:
    missing = [str(row["run_id"]) for row in picked if not row.get("mlflow")]
    if missing:
        return f'<p class="hint">{esc(t("compare.missing", runs=", ".join(missing)))}</p>'
    known = [row["mlflow"] for row in picked]
    stores = {str(run["uri"]) for run in known}
    if len(stores) > 1:
        return f'<p class="hint">{esc(t("compare.apart"))}</p>'
    uri = stores.pop()
    base = web_address(uri)
    if base:
        link = esc(compare_link(base, known))
        return (
            f'<p><a class="button" id="compare-mlflow" href="{link}" target="_blank" rel="noopener">'
            f"{esc(t('compare_mlflow'))} ({len(known)})</a></p>"
        )
    line = shlex.join(["mlflow", "ui", "--backend-store-uri", uri])
    return (
        f"<p>{esc(t('compare.start'))}</p>{command(line, t)}"
        f"<p>{esc(t('compare.then'))}</p>{command(compare_link(LOCAL_UI, known), t)}"
    )
