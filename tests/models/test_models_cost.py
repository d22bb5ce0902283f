"""What a step costs, said before the first one."""

from __future__ import annotations

import pytest
import torch

from vsrpp import models

SIZES = {"scale": 4, "num_frames": 4, "crop_size": 128, "batch_size": 2, "precision": "fp32"}
NETWORKS = [
    {"network": "vsrpp", "n_feats": 12, "n_blocks": 3},
    {"network": "vsrpp", "n_feats": 12, "n_blocks": 3, "gated_fusion": True},
    {"network": "basicvsr", "n_feats": 12, "n_blocks": 3},
    {"network": "basicvsrpp", "n_feats": 12, "n_blocks": 3},
]


@pytest.mark.parametrize("network", NETWORKS, ids=["vsrpp", "gated", "basicvsr", "basicvsrpp"])
def test_the_estimate_from_a_small_clip_is_what_a_real_step_keeps(network: dict[str, object]) -> None:
    cost = models.step_cost({**network, **SIZES})
    model = models.build({**network, **SIZES})
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(torch.rand(2, 4, 3, 32, 32))
    size = sum(t.untyped_storage().nbytes() for pointer, t in kept.items() if pointer not in weights)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert output.shape == (2, 4, 3, 128, 128)
    assert cost.parameters == parameters
    assert cost.memory_bytes == pytest.approx(20 * parameters + size, rel=0.02)


def test_the_operations_are_three_forward_passes_of_the_convolutions() -> None:
    config = {"network": "vsrpp", "n_feats": 12, "n_blocks": 3, **SIZES}
    per_pixel = models.describe(models.build(config))["flops_per_lr_pixel"]
    assert models.step_cost(config).flops == pytest.approx(3 * per_pixel * 2 * 4 * 32 * 32, rel=1e-6)


def test_half_precision_keeps_half_the_activations_and_the_generator_is_untouched() -> None:
    config = {"network": "vsrpp", "n_feats": 12, "n_blocks": 3, **SIZES}
    before = torch.get_rng_state()
    whole, half = models.step_cost(config), models.step_cost({**config, "precision": "bf16"})
    weights = 20 * whole.parameters
    assert half.memory_bytes - weights == pytest.approx((whole.memory_bytes - weights) / 2, rel=1e-3)
    assert torch.equal(torch.get_rng_state(), before)
