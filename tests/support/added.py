"""A function of a file that no process has imported, as a plug-in's function reaches a data worker."""

from __future__ import annotations

import runpy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FromFile:
    """Calls a function of a file; pickled by path and name, and loaded again where it is called."""

    path: Path
    name: str
    _loaded: dict[str, Any] = field(default_factory=dict, compare=False)

    def __call__(self, *arguments: Any, **parameters: Any) -> Any:
        if not self._loaded:
            self._loaded.update(runpy.run_path(str(self.path)))
        return self._loaded[self.name](*arguments, **parameters)

    def __reduce__(self) -> tuple[Any, ...]:
        return FromFile, (self.path, self.name)
