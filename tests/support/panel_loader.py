"""The panel loaded the way the command line loads it: as `vsrpp_ui`, from wherever it stands."""

from __future__ import annotations

from types import ModuleType

from vsrpp.cli.panel import ui_package


def load_panel() -> ModuleType:
    return ui_package("app")
