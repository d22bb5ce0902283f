"""A logged model loads as `models:/…` into something that upscales frames, as the network itself does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.tracking.making import RUN_CONFIG, MadeRun, write_checkpoint
from tests.tracking.serving import models_of
from vsrpp.tracking.sync import sync


@pytest.mark.slow
def test_it_upscales_frames_as_the_network_does(uri: str, runs: Path) -> None:
    torch = pytest.importorskip("torch")
    import safetensors.torch

    from vsrpp import models

    torch.set_num_threads(1)
    network = models.build(RUN_CONFIG)
    run = MadeRun(runs / "pyfunc1", "pyfunc1").start().train(10)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.rand_like(parameter) * 0.05)
    weights = safetensors.torch.save(network.state_dict())
    folder = run.paths.checkpoint(10)
    files = {
        "model.safetensors": weights, "model_ema.safetensors": weights, "training_state.pt": b"",
        "runtime_config.json": json.dumps(run.live).encode(),
        "run_config.yaml": "\n".join(f"{key}: {value}" for key, value in RUN_CONFIG.items()).encode(),
    }  # fmt: skip
    write_checkpoint(folder, files, "pyfunc1", 10, 0, 0, {}, (1, "0" * 64))
    run.saved(folder, {})
    run.end()
    assert sync(run.paths.root, uri).delivered

    import mlflow

    (model,) = models_of(uri, "pyfunc1")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    finally:
        mlflow.set_tracking_uri(before)
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    upscaled = loaded.predict(frames)
    assert (upscaled.shape, upscaled.dtype) == ((3, 16, 24, 3), np.uint8)
    assert np.array_equal(upscaled, models.upscale_frames(network, frames, device="cpu"))
    with pytest.raises(Exception, match=r"uint8|dtype|schema"):
        loaded.predict(frames.astype(np.float64))
    spec = (Path(model.artifact_location) / "MLmodel").read_text()
    assert model.model_id in spec
    assert str(Path(__file__).parents[2]) not in spec, "no path of this machine"


def test_making_one_imports_no_torch() -> None:
    code = (
        "import sys; from vsrpp.tracking import logged_model; files = logged_model._skeleton();"
        "print('torch' in sys.modules, sorted(files))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert done.stdout.splitlines()[-1] == (
        "False ['MLmodel', 'conda.yaml', 'python_env.yaml', 'requirements.txt', 'upscaler.py']"
    )


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
