"""Loads the panel like the command line, as `vsrpp_ui`, from a checkout or an installation."""

from __future__ import annotations

from types import ModuleType

from vsrpp.cli.panel import ui_package


def load_panel() -> ModuleType:
    return ui_package("app")
