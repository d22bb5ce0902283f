"""Wheel build hook: `ui/`, `schemas/` and `recipes/` of the checkout become folders of `vsrpp/` in the wheel."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("ui", "schemas", "recipes")


class MoveFoldersIntoPackage(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Only for a real wheel (`version` is "standard").

        A `force-include` table in pyproject.toml would apply to an editable install too: hatchling would then leave
        copies in site-packages/vsrpp, and as a namespace package they would hide the checkout.
        """
        if version == "standard":
            build_data["force_include"] |= {name: f"vsrpp/{name}" for name in FOLDERS}
