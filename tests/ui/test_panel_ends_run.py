"""An edit in the panel that ends the run: the first press says so, the second confirms it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vsrpp_ui import form
from vsrpp_ui.door import Visitor
from vsrpp_ui.messages import texts
from vsrpp_ui.pages.config import config_page
from vsrpp_ui.snapshot import RunWatches

from tests.support.tui_fakes import FakeRun, half_way
from vsrpp.control import Role


@pytest.fixture
def run(runs: Path) -> Iterator[FakeRun]:
    run = half_way(runs / "0f1e2d3c4b5a69788796a5b4c3d2e1f0").serve()
    yield run
    run.close()


def test_the_first_press_says_that_it_ends_the_run_and_the_second_confirms(run: FakeRun) -> None:
    blocks = config_page(RunWatches(run.paths.root.parent), texts("en"), "en")
    button = next(id for id, block in blocks.blocks.items() if block.elem_id == "apply")
    apply = next(fn.fn for fn in blocks.fns.values() if (button, "click") in fn.targets)
    order, nobody = (
        form.keys(),
        SimpleNamespace(request=SimpleNamespace(state=SimpleNamespace(visitor=Visitor(None, Role.OWNER)))),
    )

    def press(told: str, **typed: Any) -> tuple[str, str]:
        values = {key: form.to_widget(key, run.live[key]) for key in order} | typed
        answer, told, *_ = apply(nobody, run.paths.run_id, run.revision, *values.values(), "", told, False, "", "")
        return answer, told

    said, told = press("", max_steps="600")
    assert "This ends the run now. Press Apply again to confirm." in said and told and run.seen == []
    said, told_again = press(told, max_steps="700")
    assert "Press Apply again" in said and told_again != told and run.seen == [], "another edit is another question"
    said, left = press(told_again, max_steps="700")
    assert "Applied" in said and left == ""
    assert run.seen[-1].payload == {"changes": {"max_steps": 700}, "confirmed": True}

    press("", max_lr="3e-4")
    assert "confirmed" not in run.seen[-1].payload, "what ends nothing is not asked twice"
