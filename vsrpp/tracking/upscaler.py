"""The code of a logged model (MLflow's "models from code"): frames in, upscaled frames out.

MLflow runs this file where the model is loaded, together with the networks it imports (`model_code`); VSR++ need not be
installed there. Torch and the networks are imported only when a model is loaded, because the delivery process runs
this file, too.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np


class Upscaler(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """Frames (T, h, w, 3) uint8 RGB of one clip, in order -> (T, H, W, 3) uint8."""

    def load_context(self, context: Any) -> None:
        import safetensors.torch
        import torch
        import yaml

        from vsrpp import models  # renamed when the model is packaged
        from vsrpp.plugins import source
        from vsrpp.plugins.registry import load

        folder = Path(context.artifacts["checkpoint"])
        run_config = yaml.safe_load((folder / "run_config.yaml").read_text(encoding="utf-8"))
        averaged = folder / "model_ema.safetensors"  # the weights that were validated
        weights = averaged if averaged.is_file() else folder / "model.safetensors"
        if run_config.get("plugins"):  # code that comes with the model, as the networks do
            texts = json.loads((folder / "plugins.json").read_text(encoding="utf-8"))["plugins"]
            place = Path(tempfile.mkdtemp(prefix="vsrpp-plugins-"))
            for record in run_config["plugins"]:
                files = texts[record["sha256"]]["files"]
                load(source.unpack(record["source"], record["module"], files, place / record["sha256"]))
        self.model = models.build(run_config)
        self.model.load_state_dict(safetensors.torch.load_file(weights))
        self.model.eval()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"

    def predict(self, context, model_input, params=None):
        """No type hints: MLflow would read them as a schema, which the signature already gives.

        `params`: `chunk_frames` (None: the whole clip at once) bounds the memory, `overlap` frames join the chunks."""
        from vsrpp.inference.chunks import upscale_frames

        settings = params or {}
        frames = np.ascontiguousarray(model_input, dtype=np.uint8)
        return upscale_frames(
            self.model, frames, device=self.device,
            chunk_frames=settings.get("chunk_frames"), overlap=int(settings.get("overlap", 8)),
        )  # fmt: skip


mlflow.models.set_model(Upscaler())
