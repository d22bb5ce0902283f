"""Build hook: puts `ui/`, `schemas/` and `recipes/` into `vsrpp/` of a wheel; an editable install gets a link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("ui", "schemas", "recipes")


class MoveFoldersIntoPackage(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders to a real wheel (`version` is "standard"), the link to an editable install.

        A `force-include` table in pyproject.toml would also apply to an editable install: hatchling would then leave
        copies in site-packages/vsrpp, which would hide the checkout as a namespace package.
        """
        if version == "editable":
            link = Path(self.root) / ".editable" / "vsrpp"
            link.parent.mkdir(exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(Path("..") / "vsrpp")
        if version == "standard":
            build_data["force_include"] |= {name: f"vsrpp/{name}" for name in FOLDERS}
