"""ARCHITECTURE.md, "How to add": each of its recipes is applied to a copy of the project, which then trains with all of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import environment, train_command
from tests.support.waiting import wait_until
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

ROOT = Path(__file__).resolve().parents[1]
PRESETS = ("demo", "base", "large")
COPIED = ("vsrpp", "ui", "schemas", "recipes", "scripts", "docs", "MLproject", "mlproject.py")


def insert(file: Path, after: str, text: str) -> None:
    """Insert text after an anchor, which the file contains exactly once."""
    before = file.read_text(encoding="utf-8")
    assert before.count(after) == 1, f"{file.name}: {after!r}"
    file.write_text(before.replace(after, after + text), encoding="utf-8")


def describe(root: Path, schema: str, key: str, tier: str, default: Any, **facts: Any) -> None:
    """An entry of a schema."""
    file = root / f"schemas/{schema}.schema.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    assert key not in document["properties"]
    document["properties"][key] = {
        "title": key.capitalize(), "description": f"What {key} does.",
        "x-de": {"title": key.capitalize(), "description": f"Was {key} tut."}, "x-tier": tier, "x-scale": "linear",
        "x-presets": dict.fromkeys(PRESETS, default), **facts,
    }  # fmt: skip
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")


def name_in(root: Path, key: str, value: str) -> None:
    """One more choice of a startup key."""
    file = root / "schemas/run_config.schema.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["properties"][key]["enum"].append(value)
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")


def a_parameter(root: Path) -> None:
    describe(root, "run_config", "bias", "startup", 0.0, type="number", minimum=-1, maximum=1, **{"x-group": "Network"})


def a_loss_term(root: Path) -> None:
    file = root / "vsrpp/losses/terms.py"
    text = '\n\ndef freq(error: Tensor) -> Tensor:\n    """Mean magnitude of the error\'s spectrum."""\n'
    file.write_text(file.read_text() + text + '    return fft.rfft2(error, norm="ortho").abs().mean()\n')
    insert(file, "from torch import Tensor", ", fft")
    term = {"label": "Freq", "colour": "#22c55e", "function": "vsrpp.losses.terms:freq"}
    about = {"x-term": term, "x-group": "Loss weights", "x-menu": 90}
    describe(root, "runtime_config", "freq_weight", "careful", 0.0, type="number", minimum=0, maximum=1, **about)


def a_network(root: Path) -> None:
    (root / "vsrpp/models/plain_net.py").write_text(PLAIN_NET)
    registry = root / "vsrpp/models/registry.py"
    insert(registry, "from vsrpp.models.network import Network\n", "from vsrpp.models.plain_net import PlainNet\n")
    made = '"plain": lambda c: PlainNet(scale=c["scale"], n_feats=c["n_feats"], bias=c.get("bias", 0.0))'
    insert(registry, '"basicvsrpp": _basicvsrpp', f", {made}")
    insert(registry, '"basicvsrpp": BasicVsrPlusPlusNet', ', "plain": PlainNet')
    name_in(root, "network", "plain")


def a_degradation(root: Path) -> None:
    file = root / "vsrpp/data/degradation_table.py"
    insert(
        file, "        return realistic(frames, scale, draw_degradation(draw.seed, draw.index), first_frame)\n", NEAREST
    )
    insert(file, "_Realistic()", ", _Nearest()")
    name_in(root, "degradation", "nearest")


def a_schedule(root: Path) -> None:
    file = root / "vsrpp/schedule.py"
    insert(file, '    """Always the peak."""\n    return 1.0\n', LINEAR)
    insert(file, '    "constant": constant,\n', '    "linear": linear,\n')
    insert(file, "PARAMETERS: dict[str, tuple[str, ...]] = {\n", '    "linear": ("lr_end",),\n')
    about = {"minimum": 0, "maximum": 1, "x-group": "Optimizer"}
    describe(root, "run_config", "lr_end", "startup", 0.1, type="number", **about)
    name_in(root, "lr_schedule", "linear")


def an_optimizer(root: Path) -> None:
    insert(
        root / "vsrpp/training/optimizers.py",
        '    "nadam": torch.optim.NAdam,\n',
        '    "adamax": torch.optim.Adamax,\n',
    )
    name_in(root, "optimizer", "adamax")


def a_plateau_detector(root: Path) -> None:
    text = (root / "vsrpp/controller/plateau_brief.py").read_text()
    (root / "vsrpp/controller/plateau_patient.py").write_text(
        text.replace("BriefDetector", "PatientDetector").replace('kind = "brief"', 'kind = "patient"')
    )
    table = root / "vsrpp/controller/plateau.py"
    insert(
        table, "from vsrpp.controller.plateau_brief import BriefDetector\n",
        "from vsrpp.controller.plateau_patient import PatientDetector\n",
    )  # fmt: skip
    insert(table, '"brief": BriefDetector', ', "patient": PatientDetector')
    name_in(root, "detector", "patient")


def a_metric(root: Path) -> None:
    file = root / "vsrpp/training/validation.py"
    insert(file, "pair.pred, pair.truth), **edges", ', "mean": MEAN')
    file.write_text(file.read_text().replace('"mean": MEAN', '"mean": float(pair.pred.mean())'))
    name_in(root, "keep_best_by", "val/mean")


def a_recipe(root: Path) -> None:
    (root / "recipes/plain.yaml").write_text("network: plain\nbias: 0.25\n")
    insert(root / "vsrpp/cli/table.py", "basicvsr_reds, basicvsr_vimeo, basicvsrpp_reds, vsrpp_video", ", plain")


def a_command(root: Path) -> None:
    insert(root / "vsrpp/store/inbox.py", 'COMMAND_KINDS = ("edit", ', '"ping", ')
    file = root / "vsrpp/training/commands.py"
    insert(file, "            handlers = {\n", '                "ping": self.ping,\n')
    insert(file, "    # ---- answers\n", PING)
    insert(root / "vsrpp/cli/table.py", "_REQUESTS = {\n", '    "ping": "ask a run for a sign of life",\n')


def an_error(root: Path) -> None:
    messages = root / "vsrpp/cli/messages.py"
    messages.write_text(messages.read_text() + 'NO_GREETING = Reason("refused.greeting", "Nobody called {name}.")\n')
    (root / "vsrpp/cli/greet.py").write_text(GREET)
    command = 'CommandSpec(name="greet", entry="greet.greet", help="greet", options=(RUN,)),\n'
    insert(root / "vsrpp/cli/table.py", "    TRAIN,\n", f"    {command}")


def a_text(root: Path) -> None:
    for language, text in (("en", "Good day, {name}"), ("de", "Guten Tag, {name}")):
        file = root / f"vsrpp/locale/{language}/LC_MESSAGES/vsrpp.po"
        file.write_text(file.read_text() + f'\nmsgctxt "terminal"\nmsgid "greeting"\nmsgstr "{text}"\n')


def a_remark(root: Path) -> None:
    messages = root / "vsrpp/config/messages.py"
    messages.write_text(messages.read_text() + 'BIASED = Remark("biased", "The bias is {bias}.")\n')
    file = root / "vsrpp/locale/de/LC_MESSAGES/vsrpp.po"
    file.write_text(file.read_text() + '\nmsgctxt "reason"\nmsgid "biased"\nmsgstr "Der Versatz ist {bias}."\n')


def a_view(root: Path) -> None:
    (root / "vsrpp/control/longest.py").write_text(LONGEST)


def a_sink(root: Path) -> None:
    (root / "vsrpp/tracking/lines_sink.py").write_text(LINES_SINK)


RECIPES: dict[str, Callable[[Path], None]] = {
    "A parameter": a_parameter, "A loss term": a_loss_term, "A network": a_network, "A degradation": a_degradation,
    "A schedule": a_schedule, "An optimizer": an_optimizer, "A plateau detector": a_plateau_detector,
    "A validation metric": a_metric, "A recipe": a_recipe, "A sink": a_sink, "A view": a_view, "A command": a_command,
    "A text of panel or terminal": a_text, "An error": an_error,
    "A warning, or why the run itself acted": a_remark,
}  # fmt: skip

PLAIN_NET = """
from torch import nn
from torch.nn import functional

from vsrpp.models.network import Network


class PlainNet(Network):
    exact = True

    def __init__(self, *, scale, n_feats, bias):
        super().__init__()
        self.scale, self.bias = scale, bias
        self.first = nn.Conv2d(3, n_feats, 3, padding=1)
        self.last = nn.Conv2d(n_feats, 3 * scale**2, 3, padding=1)

    def forward(self, lr):
        frames = lr.flatten(0, 1)
        detail = functional.pixel_shuffle(self.last(self.first(frames).relu()), self.scale)
        small = frames.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)
        return (detail + small + self.bias).unflatten(0, lr.shape[:2])

    def blocks(self):
        return {"plain.0": self.first}

    def facts(self):
        return {"flops_per_lr_pixel": 54 * self.first.out_channels}
"""
NEAREST = """

class _Nearest(Degradation):
    name = "nearest"

    def degrade(self, frames: Frames, draw: Draw, *, scale: int, first_frame: int = 0) -> Frames:
        return np.ascontiguousarray(frames[:, ::scale, ::scale])
"""
LINEAR = '''

def linear(step: int, max_steps: int, warmup: int, parameters: Mapping[str, Any]) -> float:
    """From the peak in a line to `lr_end` at max_steps."""
    return 1.0 - (1.0 - float(parameters["lr_end"])) * phase(step, warmup, max_steps)
'''
GREET = '''
from pathlib import Path

from vsrpp.cli import messages


def greet(run: str, *, run_dir: Path | None, as_json: bool) -> int:
    """Raises Refused."""
    raise messages.NO_GREETING(name=run)
'''
PING = """
    def ping(self, command: Command) -> tuple[()]:
        answers = self.live_config.answers
        answers.put(command.uid, Answer(status="done", revision=self.live_config.revision))
        return ()

"""
LONGEST = '''
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader


def events_by_type(run: RunPaths) -> dict[str, int]:
    """How many events of each type a run has."""
    with RunReader(run.run_db) as reader:
        types = [event.type for event in reader.events()]
    return {kind: types.count(kind) for kind in sorted(set(types))}
'''
LINES_SINK = '''
from pathlib import Path

from vsrpp.paths import RunPaths
from vsrpp.store import Marks, RunReader


def deliver(run: RunPaths, out: Path) -> int:
    """Append the rows and events that are new since the last call; returns how many."""
    marks = Marks(run.delivery_db)
    metric_id, event_seq = marks.position("lines")
    with RunReader(run.run_db) as reader:
        rows, events = reader.metrics(after_id=metric_id), list(reader.events(after_seq=event_seq))
    with out.open("a") as file:
        file.writelines(f"{one}\\n" for one in (*rows, *events))
    marks.advance(
        "lines", metric_id=rows[-1].id if rows else None, event_seq=events[-1].seq if events else None
    )
    marks.close()
    return len(rows) + len(events)
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with everything added."""
    root = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "images"))
        else:
            shutil.copy(ROOT / name, root / name)
    for add in RECIPES.values():
        add(root)
    return root


class Copy:
    """Commands of the copy, in a folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.environment = environment(folder) | {"PYTHONPATH": str(root)}

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def vsrpp(self, *words: str, code: int = 0) -> str:
        return self.run("-m", "vsrpp", *words, code=code)


def test_every_recipe_of_the_page_is_tried_here() -> None:
    section = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## How to add")[2]
    assert list(RECIPES) == re.findall(r"^- \*\*(.+?)\*\*:", section, re.MULTILINE)
    for path in re.findall(r"`([\w/]+/[\w./]*)`", section):
        assert (ROOT / path).exists() or (ROOT / "vsrpp" / path).exists(), path


@pytest.mark.slow
def test_generated_files_and_lists_follow_what_was_added(copy: Path, tmp_path: Path) -> None:
    here = Copy(copy, tmp_path)
    for script in ("schema_docs", "command_docs", "mlproject_file"):
        here.run(str(copy / "scripts" / script))
    assert "`freq_weight`" in (copy / "docs/parameters.md").read_text()
    assert "### `vsrpp ping`" in (copy / "docs/commands.md").read_text()
    assert "Nobody called you." in here.vsrpp("greet", "you", code=2)
    said = json.loads(here.run("-c", SAYS))
    assert said == ["Guten Tag, Anna", "Der Versatz ist 0.5.", "The bias is 0.5."]


SAYS = """
import json
from vsrpp.config import messages
from vsrpp.texts import Texts
remark, t = messages.BIASED.filled(bias=0.5), Texts("de", face="terminal")
print(json.dumps([t("greeting", name="Anna"), t.reason(remark["reason_code"], remark["fields"], ""), remark["message"]]))
"""


@pytest.mark.slow
def test_a_run_trains_with_all_that_was_added(copy: Path, tmp_path: Path, tiny_clip: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    here = Copy(copy, tmp_path)
    sets = {
        "lr_schedule": "linear", "lr_end": 0.5, "optimizer": "adamax", "degradation": "nearest", "freq_weight": 0.1,
        "l1_weight": 0.5, "detector": "patient", "keep_best_by": "val/mean", "bias": 0.125, "max_steps": 1_000_000,
        "validate_every": 100,
    }  # fmt: skip
    words = [*train_command(tiny_clip, **sets), "--config", "plain"]
    with (tmp_path / "said.log").open("w") as log:
        training = subprocess.Popen(
            [sys.executable, "-m", "vsrpp", *words], cwd=tmp_path, env=here.environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        run = wait_until(lambda: _validated(tmp_path, training), what="the first validation")
        assert "ping: done" in here.vsrpp("ping", "latest")
        assert "applied" in here.vsrpp("set", "latest", "freq_weight=0.2", "l1_weight=0.4")
        here.vsrpp("stop", "latest")
        assert training.wait(120) == 0, (tmp_path / "said.log").read_text()
    finally:
        if training.poll() is None:
            training.kill()
            training.wait()
    with RunReader(run.run_db) as reader:
        started, keys, rows = reader.last_event("started"), reader.metric_keys(), reader.latest()
    assert started is not None
    config = started.data["run_config"]
    assert {key: config[key] for key in ("network", "bias", "lr_schedule")} == {
        "network": "plain", "bias": 0.125, "lr_schedule": "linear",
    }  # fmt: skip
    assert {"loss/freq", "weight/freq", "share/freq", "val/mean"} <= set(keys)
    assert rows["weight/freq"].value == 0.2
    assert json.loads(here.run("-c", VIEWS, str(run.root))) == [True, True, 0]


VIEWS = """
import json, sys
from pathlib import Path
from vsrpp.control.longest import events_by_type
from vsrpp.paths import RunPaths
from vsrpp.tracking.lines_sink import deliver
run = RunPaths(Path(sys.argv[1]))
first, again = deliver(run, Path("lines")), deliver(run, Path("lines"))
print(json.dumps([events_by_type(run)["stopped"] == 1, first > 10, again]))
"""


def _validated(folder: Path, training: subprocess.Popen[bytes]) -> RunPaths | None:
    assert training.poll() is None, (folder / "said.log").read_text()
    for file in (folder / "runs").glob("*/runtime_config.json"):
        run = RunPaths(file.parent)
        with RunReader(run.run_db) as reader:
            if reader.last_event("validated") is not None:
                return run
    return None
