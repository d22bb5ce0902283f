"""What docs/extending.md prints for each kind: one plug-in of it all is listed, trains, and is steered."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.clips import piece
from tests.support.plugins import configs, steered, write
from vsrpp.errors import Refused
from vsrpp.plugins import listing
from vsrpp.store import RunReader

PAGE = Path(__file__).resolve().parents[2] / "docs/extending.md"
SETS = {
    "lr_schedule": "kinds.py:bent", "bend_at": 0.6, "optimizer": "kinds.py:sgd", "detector": "kinds.py:Drop", "drop": 0.02,
    "keep_best_by": "val/mae", "edges_weight": 0.2, "l1_weight": 0.4, "edge_axes": "x",
}  # fmt: skip


@pytest.fixture
def kinds(here: Path) -> Path:
    """A plug-in of all examples that declare something, but the file that the page begins with."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    examples = [block for block in blocks[1:] if "from vsrpp.plugins import" in block]
    return write(here, "\n".join(examples), "kinds.py", alone=False)


def test_the_examples_are_listed_with_kinds_and_parameters(kinds: Path) -> None:
    named = [offer for offer in listing.offers([kinds.name], [kinds.parent]) if offer.source == str(kinds)]
    assert {(offer.kind, offer.name.removeprefix("kinds.py:")) for offer in named} == {
        ("loss", "edges"), ("schedule", "bent"), ("optimizer", "sgd"), ("detector", "Drop"), ("reader", "npz"),
        ("metric", "mae"),
    }  # fmt: skip
    tiers = {one["key"]: one["tier"] for offer in named for one in offer.parameters}
    assert tiers == {
        "edges_weight": "careful", "edge_power": "safe", "edge_axes": "startup", "bend_at": "startup",
        "sgd_momentum": "safe", "drop": "careful",
    }  # fmt: skip


def test_the_examples_train_together_and_take_live_values(kinds: Path) -> None:
    np.savez(kinds.parent / "clips.npz", first=piece(12), second=piece(12, start=40))
    with pytest.raises(Refused, match="network needs network"):
        configs("clips.npz", network="kinds.py:sgd")
    edits = {"sgd_momentum": 0.5, "drop": 0.3, "edge_power": 2.0}
    run = steered(kinds.parent, "clips.npz", {4: lambda run: run.edit(**edits)}, plugins=[kinds.name], **SETS)
    assert run.train() == "finished"
    state = run.context.state
    assert {group["momentum"] for group in state.optimizer.param_groups} == {0.5}
    assert state.controller.detector.drop == 0.3
    with RunReader(run.paths.run_db) as reader:
        assert {"val/mae", "loss/edges", "share/edges"} <= set(reader.metric_keys())
