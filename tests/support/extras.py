"""What a file with a network and two loss terms declares, as a run records it: no code of it exists."""

from __future__ import annotations

from typing import Any

SHA256 = "3f5a0c1d2e4b" + "0" * 52


def loss(name: str, label: str, colour: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """The record of a loss term."""
    return {"kind": "loss", "name": name, "attribute": name, "label": label, "colour": colour, "default": 0.0,
            "description": "", "parameters": parameters or {}}  # fmt: skip


def plugin(*provides: dict[str, Any], source: str = "extras.py", sha256: str = SHA256) -> dict[str, Any]:
    """The record of a plug-in, as an entry of a run config's `plugins`."""
    return {"source": source, "module": "", "path": f"/gone/{source}", "sha256": sha256, "distribution": None,
            "files": {source: sha256}, "provides": list(provides)}  # fmt: skip


FLOOR = {"type": "number", "default": 1e-3, "minimum": 1e-6, "maximum": 0.1, "tier": "safe", "scale": "log",
         "title": "Edge floor", "description": "Differences below it do not count."}  # fmt: skip
SIGNED = {"type": "boolean", "default": True, "tier": "careful", "title": "Signed", "description": "Keep the sign."}
WIDTH = {"type": "integer", "default": 16, "minimum": 4, "maximum": 64, "unit": "channels", "description": "Features."}
TINY_NET = {"kind": "network", "name": "extras.py:TinyNet", "attribute": "TinyNet", "parameters": {"tiny_width": WIDTH}}
FFT, EDGE = "#22c55e", "#123456"
EXTRAS = plugin(
    loss("fft", "FFT", FFT), loss("edge", "Edges <b>/", EDGE, {"edge_floor": FLOOR, "edge_signed": SIGNED}),
    TINY_NET,
)  # fmt: skip
TIDY = {"plugins": [plugin(loss("fft", "FFT", FFT), TINY_NET)], "network": "extras.py:TinyNet", "tiny_width": 8}
"""The startup keys of a run for a picture."""
STARTUP = {"plugins": [EXTRAS], "network": "extras.py:TinyNet", "tiny_width": 8}
"""The startup keys of a run with it."""
WEIGHTS = {"l1_weight": 0.4, "fft_weight": 0.1, "edge_weight": 0.1}
