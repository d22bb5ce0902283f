"""Build hook: a wheel gets `ui/`, `schemas/` and `recipes/` as folders of `vsrpp/`; an editable install gets a link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("ui", "schemas", "recipes")


class MoveFoldersIntoPackage(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """The folders are for a real wheel only (`version` is "standard"), the link for an editable install.

        A `force-include` table in pyproject.toml would apply to an editable install too: hatchling would then leave
        copies in site-packages/vsrpp, and as a namespace package they would hide the checkout.
        """
        if version == "editable":
            link = Path(self.root) / ".editable" / "vsrpp"
            link.parent.mkdir(exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(Path("..") / "vsrpp")
        if version == "standard":
            build_data["force_include"] |= {name: f"vsrpp/{name}" for name in FOLDERS}
