"""A run or checkpoint from elsewhere: its plug-ins are not run unless a person says so, and its record cannot break a page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vsrpp_ui.live import FragmentRenderer
from vsrpp_ui.messages import texts
from vsrpp_ui.snapshot import RunWatches
from vsrpp_ui.tracked import TrackedRuns

from tests.support.plugins import EXTRAS, made_elsewhere
from tests.support.synthetic import SyntheticRun
from tests.support.tui_driving import Driven, drive
from tests.support.tui_fakes import FakeRun
from vsrpp import config, control
from vsrpp.cli import main
from vsrpp.errors import Refused
from vsrpp.paths import RunPaths
from vsrpp.plugins import messages, trust
from vsrpp.training.resume import prepare_resume

MARKER = "import os\nopen(os.environ['TEST_MARKER'], 'a').close()\n"


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> RunPaths:
    folder = tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_MARKER", str(folder / "marker"))
        run, file = made_elsewhere(folder, tiny_clip, MARKER + EXTRAS)
    file.unlink()
    return run


@pytest.fixture
def marker(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEST_MARKER", str(here / "marker"))
    return here / "marker"


@pytest.fixture
def run(_made: RunPaths, here: Path, marker: Path) -> RunPaths:
    """The run in ./runs of an account that has never seen its plug-in."""
    folder = here / "runs" / _made.run_id
    shutil.copytree(_made.root, folder)
    return RunPaths(folder)


def sha256_of(run: RunPaths) -> str:
    (sha256,) = json.loads((run.root / "plugins.json").read_text())["plugins"]
    return str(sha256)


NEEDS_THE_CODE = [
    ("evaluate", "{run}", "--data", "{data}", "--count", "3"),
    ("upscale", "{run}@10", "{data}", "out.mkv"),
    ("train", "--from", "{run}", "--no-panel", "--no-tensorboard"),
    ("replay", "{run}"),
]


@pytest.mark.slow
@pytest.mark.parametrize("words", NEEDS_THE_CODE, ids=lambda words: words[0])
def test_what_needs_the_code_refuses_it_and_names_the_sha256(
    words: tuple[str, ...], run: RunPaths, marker: Path, tiny_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.format(run=run.run_id, data=tiny_clip) for word in words]
    assert main(filled) == 2
    said = capsys.readouterr().err
    (line,) = [one for one in said.splitlines() if one.startswith("vsrpp: ")]
    assert "extras.py is other people's code" in line
    assert f"--trust-code {sha256_of(run)}" in line
    assert not marker.exists()
    assert [path.name for path in (run.root.parent).iterdir() if path.is_dir()] == [run.run_id]


@pytest.mark.slow
def test_a_resume_refuses_it_too(run: RunPaths, marker: Path) -> None:
    with pytest.raises(Refused) as caught:
        prepare_resume(run, say=print)
    assert caught.value.reason_code == messages.NOT_TRUSTED.code
    assert not marker.exists()


@pytest.mark.slow
def test_it_runs_once_a_person_trusts_it(run: RunPaths, marker: Path, tiny_clip: Path) -> None:
    words = ["evaluate", run.run_id, "--data", str(tiny_clip), "--count", "3", "--json"]
    assert main([*words, "--trust-code", sha256_of(run)]) == 0
    assert marker.exists()


READ_ONLY = [("status",), ("config",), ("history",), ("history", "--verify")]


@pytest.mark.slow
def test_what_only_reads_or_copies_never_asks(
    run: RunPaths, marker: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--local", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["run_id"] == run.run_id
    for command, *words in READ_ONLY:
        assert main([command, run.run_id, *words]) == 0
    said = capsys.readouterr().out
    assert "fft_weight" in said
    assert main(["restore", run.run_id, "--out", "restored"]) == 0
    assert (here / "restored" / "plugins.json").read_text() == (run.root / "plugins.json").read_text()
    assert not marker.exists()
    assert not trust.is_trusted(sha256_of(run))


@pytest.mark.slow
def test_the_panel_shows_it_without_running_it(run: RunPaths, marker: Path) -> None:
    found = "".join(html for page in ("monitoring", "config", "runs") for html in fragments(run.root.parent, page))
    assert run.run_id in found
    assert not marker.exists()


def fragments(runs: Path, page: str) -> list[str]:
    watches = RunWatches(runs)
    answer = FragmentRenderer(watches, texts("en"), "en", TrackedRuns(runs)).answer(page, {})
    watches.close()
    return [piece["html"] for piece in answer["fragments"].values()]


GOOD: dict[str, Any] = {
    "source": "extras.py", "module": "", "path": "/x/extras.py", "sha256": "0" * 64, "distribution": None,
    "files": {"extras.py": "0" * 64},
    "provides": [{"kind": "loss", "name": "fft", "attribute": "fft", "label": "FFT", "colour": "#22c55e"}],
}  # fmt: skip
ESCAPES = "<img src=x onerror=alert(1)>\x1b[2J\x1b]0;title\x07\u202e&\"'"


def with_provided(**changes: Any) -> Any:
    return [{**GOOD, "provides": [{**GOOD["provides"][0], **changes}]}]


def parameter(**changes: Any) -> Any:
    return {"fft_power": {"type": "number", "default": 1.0, "minimum": 0.0, "maximum": 2.0, "tier": "safe", **changes}}


ACCEPTED = [
    [GOOD],
    with_provided(label=ESCAPES),
    with_provided(description=ESCAPES),
    with_provided(parameters=parameter(title=ESCAPES[:60], unit=ESCAPES[:60], description=ESCAPES)),
    [{**GOOD, "distribution": ESCAPES * 1000}],
]
INVALID = [
    "extras.py",
    {"a": 1},
    [3],
    [[]],
    [GOOD] * 1000,
    [{**GOOD, "source": "../../etc/x.py", "files": {"../../etc/x.py": "0" * 64}}],
    [{**GOOD, "source": "x" * 10_000 + ".py"}],
    [{**GOOD, "files": []}],
    [{**GOOD, "provides": "fft"}],
    [{**GOOD, "provides": [GOOD["provides"][0]] * 1000}],
    [{**GOOD, "provides": [{"kind": ["loss"]}]}],
    [GOOD, {**GOOD, "sha256": "1" * 64}],
    with_provided(colour="red;background:url(//x)"),
    with_provided(colour="#22c55e;}"),
    with_provided(label="x" * 1_000_000),
    with_provided(label=["x"]),
    with_provided(name="l1"),
    with_provided(name="x" * 1000),
    with_provided(default=float("nan")),
    with_provided(default=10**400),
    with_provided(parameters=[1]),
    with_provided(parameters={"max_lr": parameter()["fft_power"]}),
    with_provided(parameters={"revision": parameter()["fft_power"]}),
    with_provided(parameters={"__proto__": parameter()["fft_power"]}),
    with_provided(parameters=parameter(maximum=10**400)),
    with_provided(parameters=parameter(maximum="2")),
    with_provided(parameters=parameter(default=float("inf"))),
    with_provided(parameters=parameter(type="choice", choices=["a" * 1000], default="a" * 1000)),
    with_provided(parameters=parameter(type="string", default="\x1b[2J")),
    with_provided(parameters=parameter(tier="root")),
]


@pytest.mark.parametrize("plugins", INVALID, ids=range(len(INVALID)))
def test_a_record_that_is_not_valid_gives_our_own_schema(plugins: Any) -> None:
    assert config.parameters({"plugins": plugins}) == config.parameters()
    assert "\x1b" not in config.format_value("plugins", plugins)


@pytest.mark.parametrize("plugins", ACCEPTED, ids=range(len(ACCEPTED)))
def test_a_valid_record_gives_clean_texts(plugins: Any) -> None:
    known = config.parameters({"plugins": plugins})
    assert "fft_weight" in known
    assert all(
        text.isprintable() for one in known.values() for text in (one.title, one.description, one.unit)
    )  # fmt: skip


def printed(runs: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the commands that only read say of a run."""
    for words in (["runs", "--local"], ["status", "latest"], ["config", "latest"], ["history", "latest"]):
        assert main([*words, "--run-dir", str(runs)]) == 0, words
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


@pytest.mark.parametrize("plugins", [ACCEPTED[1], ACCEPTED[3], INVALID[0], INVALID[2], INVALID[14]], ids=range(5))
def test_lists_and_pages_survive_it_and_escape_it(
    plugins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def also(self: SyntheticRun, type: str, original: Callable[..., None] = SyntheticRun.event, **data: Any) -> None:
        if type == "started":
            data["run_config"] = {**data["run_config"], "plugins": plugins, "network": ESCAPES}
        original(self, type, **data)

    monkeypatch.setattr(SyntheticRun, "event", also)
    run = SyntheticRun(tmp_path / "runs")
    run.train(20)
    run.validate(28.0)
    pages = [html for page in ("monitoring", "config", "runs") for html in fragments(tmp_path / "runs", page)]
    assert not [page for page in pages if "<img" in page]
    assert not {"\x1b", "\u202e", "\x07"} & set(printed(tmp_path / "runs", capsys))
    assert control.status(run.paths)["state"] == "training"
    run.close()


@pytest.mark.parametrize("plugins", [ACCEPTED[1], INVALID[2]], ids=["markup", "invalid"])
def test_the_terminal_survives_it(plugins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def also(self: FakeRun, type: str, data: Any = None, *, original: Any = FakeRun.event, **who: Any) -> Any:
        if type == "started":
            data = {**data, "run_config": {**data["run_config"], "plugins": plugins}}
        return original(self, type, data, **who)

    monkeypatch.setattr(FakeRun, "event", also)
    fake = FakeRun(tmp_path / "runs" / "r1")
    fake.train(20)

    async def script(ui: Driven) -> None:
        await ui.shows("L1")

    drive(fake, script)
    fake.close()
