"""MLflow's string parameters, checked and turned into command lines."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import mlproject
from tests.support.processes import environment
from vsrpp.cli import table

ROOT = Path(__file__).resolve().parents[1]


def command(entry_point: str, **parameters: str) -> list[str]:
    arguments = [word for name, value in parameters.items() for word in (f"--{name}", value)]
    return mlproject.command_line(entry_point, arguments)[0]


@pytest.fixture
def called_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mlproject, "caller_dir", lambda: tmp_path)
    return tmp_path


def test_no_parameters_train_the_demo_on_the_sample() -> None:
    assert command("main", preset="", data="", max_steps="") == ["train", "--preset", "demo", "--data", "sample"]


@pytest.mark.parametrize("value", ["300", "300.0", "3e2"])
def test_a_float_that_is_whole_is_an_integer(value: str) -> None:
    assert command("main", max_steps=value)[-2:] == ["--max-steps", "300"]


def test_keys_of_both_configs_are_parameters_and_come_after_set() -> None:
    words = command("main", n_feats="16", set="batch_size=2 max_lr=3e-4", max_lr="2e-4")
    assert words[-8:] == [
        "--set",
        "batch_size=2",
        "--set",
        "max_lr=3e-4",
        "--set",
        "n_feats=16",
        "--set",
        "max_lr=2e-4",
    ]


def test_a_run_that_is_taken_up_keeps_its_own_preset_and_data() -> None:
    assert command("main", resume="abcd1234", preset="", data="") == ["train", "--resume", "abcd1234"]
    assert command("main", **{"from": "abcd1234@200"}) == ["train", "--from", "abcd1234@200"]


def test_faces_are_switched_off_by_flags() -> None:
    assert command("main", panel="off", tensorboard="False")[-2:] == ["--no-panel", "--no-tensorboard"]
    assert "--no-panel" not in command("main", panel="on")
    assert "--no-token" in command("main", panel_token="off") and "--no-token" in command("panel", panel_token="off")
    assert "--no-token" not in command("main", panel_token="on")


@pytest.mark.parametrize(
    ("entry_point", "parameters", "words"),
    [
        (
            "restore",
            {"run": "ab12", "step": "best", "out": "/tmp/x"},
            ["restore", "ab12", "--step", "best", "--out", "/tmp/x"],
        ),
        ("restore", {"run": "ab12", "step": "200.0", "out": "/x"}, ["restore", "ab12", "--step", "200", "--out", "/x"]),
        (
            "evaluate",
            {"run": "bicubic", "data": "sample", "scale": "4", "start": "", "count": "8"},
            ["evaluate", "bicubic", "--data", "sample", "--scale", "4", "--count", "8"],
        ),
        (
            "panel",
            {"run": "latest", "host": "::", "port": "5051"},
            ["panel", "latest", "--host", "::", "--port", "5051"],
        ),
        ("sync", {"run": "latest"}, ["sync", "latest"]),
        (
            "upscale",
            {
                "run": "latest",
                "input": "/i.mp4",
                "output": "/o.mkv",
                "tile": "128.0",
                "audio": "on",
                "overwrite": "off",
            },
            ["upscale", "latest", "/i.mp4", "/o.mkv", "--tile", "128"],
        ),
        (
            "upscale",
            {"run": "ab12", "input": "/i", "output": "/o.d/", "fps": "25", "audio": "off", "overwrite": "on"},
            ["upscale", "ab12", "/i", "/o.d/", "--fps", "25", "--no-audio", "--overwrite"],
        ),
        ("replay", {"run": "ab12", "devices": ""}, ["replay", "ab12"]),
        ("replay", {"run": "ab12", "devices": "1.0"}, ["replay", "ab12", "--devices", "1"]),
        ("rollback", {"run": "ab12", "step": "best"}, ["rollback", "ab12", "--step", "best"]),
        (
            "rollback",
            {"run": "ab12", "step": "200", "reason": "it got worse"},
            ["rollback", "ab12", "--step", "200", "--reason", "it got worse"],
        ),
    ],
)
def test_entry_points_become_commands(entry_point: str, parameters: dict[str, str], words: list[str]) -> None:
    assert command(entry_point, **parameters) == words


@pytest.mark.parametrize(
    ("entry_point", "arguments", "line"),
    [
        ("main", ["--max_steps", "abc"], "max_steps = abc refused: must be a whole number"),
        ("main", ["--max_steps", "300.5"], "max_steps = 300.5 refused: must be a whole number"),
        ("main", ["--max_steps", "inf"], "max_steps = inf refused: must be a whole number"),
        ("main", ["--preset", "huge"], "preset = huge refused: must be one of demo, base, large"),
        ("main", ["--panel", "perhaps"], "panel = perhaps refused: must be on or off"),
        ("main", ["--max_rl", "1e-4"], "unknown parameter max_rl: did you mean max_lr?"),
        ("main", ["--set", "a b=1"], 'set = a b=1 refused: a is not KEY=VALUE; give several as set="a=1 b=2"'),
        ("main", ["--set", "a='1"], "set = a='1 refused: No closing quotation"),
        ("main", ["--alerts_url", "https://hooks.example.com/secret"], mlproject.SECRET_REFUSED),
        ("main", ["--set", "max_lr=1e-4 alerts_url=https://hooks.example.com/secret"], mlproject.SECRET_REFUSED),
        (
            "main",
            ["--deliver_to", "http://ann:secret@mlflow.example:5000/x"],
            mlproject.PASSWORD_REFUSED.format(name="deliver_to", shown="http://mlflow.example:5000/x"),
        ),
        ("main", ["--data"], "--data has no value: expected --name value"),
        ("upscale", ["--run", "ab", "--input", "x"], "output is missing: -P output=…"),
        ("evaluate", ["--run", "ab", "--data", "x", "--scale", "5"], "scale = 5 refused: must be one of 2, 3, 4"),
        ("sync", ["--run", "ab", "--max_lr", "1"], "unknown parameter max_lr: must be one of run, run_dir"),
        (
            "trian",
            [],
            "unknown entry point 'trian': must be one of main, restore, rollback, replay, evaluate, upscale, panel, sync",
        ),
    ],
)
def test_a_wrong_parameter_is_one_line_and_exit_2(
    entry_point: str, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mlproject.main([entry_point, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"mlproject: {line}\n"
    assert captured.out == ""


def test_an_evaluation_has_every_option_of_the_command(called_in: Path) -> None:
    for name in ("evaluate", "upscale"):
        options = {option.name for option in table.command(name).all_options()} - {"as_json"}
        assert {option.name for option in mlproject.ENTRY_POINTS[name].options.values()} == options
    (called_in / "ours").mkdir()
    words = command(
        "evaluate", run="", frames="ours", against="bicubic", fail_if="psnr_y < -0.05", by="interval", data="sample",
        start="3.0", count="8", tof="on", log="off", lpips_weights="a.pth '/w/b c.pth'",
    )  # fmt: skip
    assert words == [
        "evaluate", "--frames", str(called_in / "ours"), "--against", "bicubic", "--fail-if", "psnr_y < -0.05",
        "--by", "interval", "--data", "sample", "--start", "3", "--count", "8", "--tof",
        "--lpips-weights", str(called_in / "a.pth"), "--lpips-weights", "/w/b c.pth",
    ]  # fmt: skip
    words = command("evaluate", run="", suite="reds4,vid4", root="sets", table="latex", log="on")
    assert words == [
        "evaluate", "latest", "--suite", "reds4,vid4", "--root", str(called_in / "sets"), "--table", "latex", "--log"
    ]  # fmt: skip
    assert command("evaluate", run="ab@20", frames="", data="sample")[1] == "ab@20"


def test_relative_paths_are_from_where_mlflow_run_was_called(called_in: Path) -> None:
    (called_in / "clips").mkdir()
    (called_in / "sample").mkdir()
    assert command("main", data="clips")[-1] == str(called_in / "clips")
    assert command("main", data="sample")[-1] == "sample"
    assert command("restore", run="latest", out="here")[-1] == str(called_in / "here")
    assert mlproject.command_line("sync", ["--run", "latest", "--run_dir", "r"])[1] == str(called_in / "r")


def test_plugins_are_files_where_mlflow_run_was_called_and_their_parameters_are_parameters(called_in: Path) -> None:
    nets, extras = called_in / "nets.py", called_in / "sub" / "extras.py"
    words = command(
        "main", plugin="sub/extras.py my.losses", network="nets.py:TinyNet", tiny_width="8", trust_code="ab cd"
    )
    assert words[5:] == [
        "--plugin", str(extras), "--plugin", "my.losses", "--trust-code", "ab", "--trust-code", "cd",
        "--set", f"network={nets}:TinyNet", "--set", "tiny_width=8",
    ]  # fmt: skip
    words = command("main", set="network=nets.py:TinyNet tiny_width=8", fft_weight="0.1")
    assert words[5:] == ["--set", f"network={nets}:TinyNet", "--set", "tiny_width=8", "--set", "fft_weight=0.1"]
    assert command("main", network="my.nets:Net", width="8")[-3:] == ["network=my.nets:Net", "--set", "width=8"]
    (called_in / "run.yaml").touch()
    for source in ({"config": "run.yaml"}, {"from": "ab12"}):  # the command knows what they declare
        assert command("main", **source, fft_weight="0.1")[-1] == "fft_weight=0.1"
    with pytest.raises(mlproject.WrongParameter, match="unknown parameter fft_weight"):
        command("main", network="basicvsr", fft_weight="0.1")


def test_the_callers_folder_is_found_through_a_shell(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import mlproject; print(mlproject.caller_dir())"
    shell = ["bash", "-c", 'cd / && true && "$0" -c "$1"', sys.executable, code]
    called = [sys.executable, "-c", f"import subprocess; subprocess.run({shell!r})"]
    done = subprocess.run(called, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == tmp_path.resolve()


def test_a_plugin_beside_the_caller_is_imported_and_its_parameter_checked(tmp_path: Path) -> None:
    """As `mlflow run PROJECT -P plugin=extras.py -P own_power=9` starts it: by a shell, in the project's folder."""
    parameter = 'parameters={"own_power": Parameter(int, default=1, minimum=1, maximum=3)}'
    (tmp_path / "extras.py").write_text(
        "from vsrpp.plugins import Parameter, loss_term\n"
        f'@loss_term(name="own", label="Own", colour="#123456", {parameter})\n'
        "def own(pred, truth, own_power):\n    return (pred - truth).abs().pow(own_power).mean()\n"
    )
    entry = [sys.executable, "mlproject.py", "main", "--plugin", "extras.py", "--own_weight", "0.1", "--own_power", "9"]
    shell = ["bash", "-c", f"cd {shlex.quote(str(ROOT))} && true && {shlex.join(entry)}"]
    called = [sys.executable, "-c", f"import subprocess, sys; sys.exit(subprocess.run({shell!r}).returncode)"]
    done = subprocess.run(called, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)
    assert done.returncode == 2
    assert "own_power = 9 refused: must be between 1 and 3" in done.stderr


@pytest.mark.parametrize(
    ("folder", "caller", "temporary"),
    [
        ("tmpab12cd3_", "/", True),
        ("tmpab12cd3_/sub", "/", True),
        ("tmpab12cd3_", "tmpab12cd3_", False),
        ("clone", "/", False),
        ("../elsewhere", "/", False),
    ],
)
def test_a_copy_that_mlflow_unpacked_is_told_from_a_checkout(
    folder: str, caller: str, temporary: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlproject.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(mlproject, "caller_dir", lambda: tmp_path / caller)
    assert mlproject.is_temporary_copy((tmp_path / folder).resolve()) is temporary


def test_runs_of_a_temporary_copy_are_kept_at_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VSRPP_RUNS", "")
    monkeypatch.setattr(mlproject, "is_temporary_copy", lambda project: True)
    mlproject.choose_runs_folder(None)
    assert os.environ["VSRPP_RUNS"] == str(Path.home() / "vsrpp-runs")
    assert os.environ["VSRPP_RUNS"] in capsys.readouterr().err
    mlproject.choose_runs_folder("/chosen")
    assert os.environ["VSRPP_RUNS"] == "/chosen"


def test_the_mlflow_run_of_a_tool_is_marked_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri)
    run_id = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    mlproject.give_up_mlflow_run()
    assert client.get_run(run_id).data.tags["vsrpp.kind"] == "tool"
    assert "MLFLOW_RUN_ID" not in os.environ


def test_a_check_is_a_parameter_of_the_training() -> None:
    assert command("main", check="true")[-1] == "--check"
    assert "--check" not in command("main", check="off")


def test_several_devices_and_hosts_are_parameters_of_the_training() -> None:
    words = command("main", devices="8", nodes="2.0", rendezvous="head:29500", node_rank="1", max_restarts="3")
    assert words[5:] == [
        "--devices", "8", "--nodes", "2", "--rendezvous", "head:29500", "--node-rank", "1", "--max-restarts", "3"
    ]  # fmt: skip
    assert command("main", devices="auto")[-2:] == ["--devices", "auto"]
    with pytest.raises(mlproject.WrongParameter, match="devices = all refused"):
        command("main", devices="all")


@pytest.mark.parametrize(
    ("words", "env", "elsewhere"),
    [
        ([], {}, False),
        (["--devices", "4"], {}, False),
        (["--nodes", "2", "--rendezvous", "localhost:29500"], {}, False),
        (["--nodes", "2", "--rendezvous", "192.0.2.1:29500"], {}, True),
        (["--nodes", "2", "--rendezvous", "192.0.2.1:29500", "--node-rank", "0"], {}, False),
        (["--nodes", "3", "--rendezvous", "localhost:29500", "--node-rank", "2"], {}, True),
        (["--nodes", "3", "--rendezvous", "192.0.2.1:29500"], {}, False),  # refused by the command itself
        ([], {"RANK": "0", "WORLD_SIZE": "2"}, False),
        ([], {"RANK": "1", "WORLD_SIZE": "2"}, True),
    ],
)
def test_only_the_host_of_rank_0_keeps_the_mlflow_run_that_was_made_for_it(
    words: list[str], env: dict[str, str], elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert mlproject.records_elsewhere(["train", *words]) is elsewhere
