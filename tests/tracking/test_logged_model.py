"""A logged model, loaded by `models:/…`, upscales frames exactly like the network."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.made_runs import RUN_CONFIG, MadeRun, write_checkpoint
from tests.support.plugins import EXTRAS, write
from tests.support.servers import models_of
from vsrpp.tracking.sync import sync


@pytest.fixture
def trained(uri: str, runs: Path) -> tuple[Any, Any]:
    """(the logged model of an uploaded checkpoint, its network)."""
    return delivered(uri, runs, RUN_CONFIG, {})


def delivered(uri: str, runs: Path, run_config: dict[str, Any], more: dict[str, bytes]) -> tuple[Any, Any]:
    """The same for a run config; `more`: further files of the checkpoint."""
    torch = pytest.importorskip("torch")
    import safetensors.torch
    import yaml

    from vsrpp import models

    torch.set_num_threads(1)
    network = models.build(run_config)
    run = MadeRun(runs / "pyfunc1", "pyfunc1").start().train(10)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.rand_like(parameter) * 0.05)
    weights = safetensors.torch.save(network.state_dict())
    folder = run.paths.checkpoint(10)
    files = {
        "model.safetensors": weights, "model_ema.safetensors": weights, "training_state.pt": b"",
        "runtime_config.json": json.dumps(run.live).encode(),
        "run_config.yaml": yaml.safe_dump(run_config).encode(), **more,
    }  # fmt: skip
    write_checkpoint(folder, files, "pyfunc1", 10, 0, 0, {}, (1, "0" * 64))
    run.saved(folder, {})
    run.end()
    assert sync(run.paths.root, uri).delivered
    (model,) = models_of(uri, "pyfunc1")
    return model, network


@pytest.mark.slow
def test_it_upscales_frames_as_the_network_and_the_command_do(
    uri: str, trained: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    import mlflow

    from vsrpp.inference.chunks import StreamBounds, upscale_frames, upscale_stream

    model, network = trained
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    finally:
        mlflow.set_tracking_uri(before)
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    upscaled = loaded.predict(frames)
    assert (upscaled.shape, upscaled.dtype) == ((3, 16, 24, 3), np.uint8)
    assert np.array_equal(upscaled, upscale_frames(network, frames, device="cpu"))
    with pytest.raises(Exception, match=r"uint8|dtype|schema"):
        loaded.predict(frames.astype(np.float64))
    long = np.random.default_rng(1).integers(0, 256, (40, 8, 12, 3), dtype=np.uint8)
    streamed, whole = (
        np.stack(list(upscale_stream(network, iter(long), device="cpu"))),
        upscale_frames(network, long, device="cpu"),
    )
    assert not np.array_equal(streamed, whole), "the window matters"
    assert np.array_equal(loaded.predict(long), streamed)
    caplog.clear()
    assert np.array_equal(loaded.predict(long, params={"chunk_frames": 0}), whole)
    assert "longer than the run was validated at" in caplog.text
    bounds = StreamBounds()
    stated = {param.name: param.default for param in loaded.metadata.get_params_schema().params}
    assert stated == {"chunk_frames": bounds.chunk_frames, "overlap": bounds.overlap, "tile": bounds.tile}
    spec = (Path(model.artifact_location) / "MLmodel").read_text()
    assert model.model_id in spec
    assert str(Path(__file__).parents[2]) not in spec, "no path of this machine"


ELSEWHERE = """
import sys

class NotHere:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "vsrpp":
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, NotHere())
try:
    import vsrpp
    raise SystemExit("vsrpp is importable: this would prove nothing")
except ImportError:
    pass
import mlflow, numpy as np
uri, address, frames, out = sys.argv[1:]
mlflow.set_tracking_uri(uri)
loaded = mlflow.pyfunc.load_model(address)
np.save(out, loaded.predict(np.load(frames)))
print(sorted(name for name in sys.modules if name.startswith("vsrpp") and "." not in name))
"""


@pytest.mark.slow
def test_it_loads_where_vsrpp_is_not_installed(uri: str, trained: tuple[Any, Any], tmp_path: Path) -> None:
    (carried,) = upscales_elsewhere(uri, *trained, tmp_path / "away")
    assert carried.startswith("vsrpp_model_")


def upscales_elsewhere(uri: str, model: Any, network: Any, away: Path) -> list[str]:
    """Compare a model, loaded in a process without vsrpp, with its network; returns the packages of ours it has there."""
    from vsrpp.inference.chunks import upscale_frames

    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    away.mkdir()
    np.save(away / "frames.npy", frames)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, uri, f"models:/{model.model_id}", "frames.npy", "out.npy"],
        cwd=away, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert np.array_equal(np.load(away / "out.npy"), upscale_frames(network, frames, device="cpu"))
    return list(ast.literal_eval(done.stdout.splitlines()[-1]))


HELPER = """
from torch import nn
from vsrpp.plugins import Network

def widen(width, scale):
    import later_helper
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, later_helper.channels(scale), 3, padding=1))
"""


@pytest.mark.slow
def test_a_plugin_s_network_loads_there_too(
    uri: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its sibling files, an import of vsrpp.plugins in one of them, and one inside a function."""
    from vsrpp.plugins import naming, record

    monkeypatch.chdir(tmp_path)
    text = EXTRAS.replace("import torch\n", "import torch\nfrom logged_helper import widen\n", 1)
    body = text.index("        self.body = "), text.index("    def forward")
    write(tmp_path, f"{text[: body[0]]}        self.body = nn.Sequential(widen(tiny_width, scale), nn.PixelShuffle(scale))\n\n"
          f"{text[body[1] :]}")  # fmt: skip
    write(tmp_path, HELPER, "logged_helper.py")
    write(tmp_path, "def channels(scale):\n    return 3 * scale**2\n", "later_helper.py")
    records, values = naming.load(
        [naming.by_option("extras.py"), *naming.named_in({"network": "extras.py:TinyNet"})], [tmp_path]
    )
    run_config = {**RUN_CONFIG, **values, "tiny_width": 4, "plugins": records}
    record.write(record.sources(run_config), tmp_path)
    sources = (tmp_path / record.FILE).read_bytes()
    trained = delivered(uri, runs, run_config, {record.FILE: sources})
    for name in ("extras.py", "logged_helper.py", "later_helper.py"):
        (tmp_path / name).unlink()
    carried = upscales_elsewhere(uri, *trained, tmp_path / "away")
    assert [name for name in carried if not name.startswith(("vsrpp_model_", "vsrpp_plugin_"))] == []


def test_the_carried_code_speaks_of_no_vsrpp_but_in_words() -> None:
    from vsrpp.tracking import model_code

    for name, text in model_code.bundle().items():
        for node in ast.walk(ast.parse(text)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(imported.split(".")[0] == "vsrpp" for imported in names), name


def test_the_carried_code_carries_all_of_ours_that_it_imports() -> None:
    from vsrpp.tracking import model_code

    files = {name.removeprefix("code/") for name in model_code.bundle()}
    for name, text in model_code.bundle().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vsrpp_model_"):
                path = str(node.module).replace(".", "/")
                assert {f"{path}.py", f"{path}/__init__.py"} & files, f"{name} imports {node.module}"


def test_a_plugin_can_import_all_that_the_door_offers_from_the_carried_code(tmp_path: Path) -> None:
    from vsrpp import plugins
    from vsrpp.tracking import model_code

    for name, text in model_code.bundle().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (package,) = (tmp_path / "code").iterdir()
    names = ", ".join(sorted({*plugins.__all__} - {"Network"}))  # which needs torch
    code = f"import sys; sys.path.append({str(package.parent)!r}); from {package.name}.plugins import {names}"
    subprocess.run([sys.executable, "-S", "-c", code], check=True, cwd=tmp_path)


def test_making_one_imports_no_torch() -> None:
    code = (
        "import sys; from vsrpp.tracking import logged_model; files = logged_model.skeleton();"
        "print('torch' in sys.modules, sorted(files))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    said = done.stdout.splitlines()[-1]
    assert said.startswith("False ['MLmodel', 'code/vsrpp_model_")
    assert "models/vsrpp_net.py" in said
    assert said.endswith("'conda.yaml', 'python_env.yaml', 'requirements.txt', 'upscaler.py']")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
