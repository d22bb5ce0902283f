"""Which config page serves which run: one for runs without live parameters of plug-ins, and one per set of these.

Gradio fixes the widgets of a page when it is built, so runs whose plug-ins declare other live parameters need pages of
their own. They stand at `/de/config-3f5a0c1d2e4b`; the address a person sees stays `/config?run=…`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import Any

from vsrpp import control
from vsrpp.config import schema
from vsrpp.errors import VsrppError

from .snapshot import RunWatches

CONFIG = "config"
SEARCHED_RUNS = 200
"""Newest runs that are searched for a page which an older panel has built."""
_OWN_PAGE = re.compile(r"/(?:en|de)/config-(?P<digest>[0-9a-f]{12})(?:/|$)")


def digest_of(run_config: Mapping[str, Any]) -> str:
    """Names the live parameters that a run's plug-ins declare; empty without any."""
    ours, all_ = schema.load(schema.LIVE_SCHEMA), schema.of(run_config).files[schema.LIVE_SCHEMA]
    foreign = {key: entry for key, entry in all_["properties"].items() if key not in ours["properties"]}
    return hashlib.sha256(json.dumps(foreign, sort_keys=True).encode()).hexdigest()[:12] if foreign else ""


class ConfigPages:
    """`mount(name, declared)` adds the page `name` for runs that declare what the run config `declared` does."""

    def __init__(self, watches: RunWatches, mount: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._watches = watches
        self._mount = mount
        self._mounted: set[str] = set()
        self._lock = threading.Lock()

    def name_for(self, run_id: str | None) -> str:
        """The page of a run, or of the one shown by default: `config`, or `config-3f5a0c1d2e4b`."""
        run_id = run_id or self._watches.default_run()
        run_config = self._run_config(run_id) if run_id else {}
        digest = digest_of(run_config)
        if digest:
            self._add(digest, run_config)
        return f"{CONFIG}-{digest}" if digest else CONFIG

    def prepare(self, path: str) -> None:
        """Add the page that an open tab asks for, after a restart of the panel."""
        asked = _OWN_PAGE.match(path)
        if asked is None or asked["digest"] in self._mounted:
            return
        for run in control.local_runs(self._watches.folder)[:SEARCHED_RUNS]:
            run_config = self._run_config(run.run_id)
            if digest_of(run_config) == asked["digest"]:
                self._add(asked["digest"], run_config)
                return

    def _run_config(self, run_id: str) -> Mapping[str, Any]:
        try:
            return self._watches.run(run_id).snapshot().run_config
        except (VsrppError, sqlite3.Error, OSError):
            return {}

    def _add(self, digest: str, run_config: Mapping[str, Any]) -> None:
        with self._lock:
            if digest not in self._mounted:
                self._mount(f"{CONFIG}-{digest}", {"plugins": run_config["plugins"]})
                self._mounted.add(digest)
