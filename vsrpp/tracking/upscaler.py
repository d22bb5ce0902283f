"""The code of a logged model (MLflow's "models from code"): frames in, upscaled frames out.

MLflow runs this file where the model is loaded, together with the networks it imports (`model_code`); VSR++ need not be
installed there. Torch and the networks are imported only when a model is loaded, because the delivery process runs
this file, too.
"""

from __future__ import annotations

import json
import logging
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
        from vsrpp.inference.window import validated_window
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
        self.validated_window = validated_window(run_config)
        self.model = models.build(run_config)
        self.model.load_state_dict(safetensors.torch.load_file(weights))
        self.model.eval()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"

    def predict(self, context, model_input, params=None):
        """No type hints: MLflow would read them as a schema, which the signature already gives.

        The frames of `vsrpp upscale` at its defaults. `params`, with their defaults in the signature: `chunk_frames` kept of
        each chunk (0: the whole clip is one), `overlap` read on either side of it, `tile` in input pixels (0: whole frames).
        """
        from vsrpp.inference.chunks import StreamBounds, upscale_stream
        from vsrpp.inference.window import window

        frames = np.ascontiguousarray(model_input, dtype=np.uint8)
        given = {name: int(value) for name, value in (params or {}).items()}
        if given.get("chunk_frames") == 0:
            given["chunk_frames"] = max(1, len(frames))
        bounds = StreamBounds(**given)
        reads = min(len(frames), window(bounds.chunk_frames, bounds.overlap))
        if reads > self.validated_window:
            logging.getLogger(__name__).warning(
                "A window of %d frames is longer than the run was validated at: %d frames.",
                reads,
                self.validated_window,
            )
        return np.stack(list(upscale_stream(self.model, iter(frames), device=self.device, bounds=bounds)))


mlflow.models.set_model(Upscaler())
