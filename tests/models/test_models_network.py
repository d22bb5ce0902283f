"""The networks: sizes, shapes, what an untrained one gives, and exactness."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.clips import piece
from tests.support.reasons import raises
from vsrpp import models
from vsrpp.inference.chunks import upscale_frames
from vsrpp.models import messages
from vsrpp.models.network import Network
from vsrpp.resize import resize_u8, weights_matrix

SMALL = {"network": "vsrpp", "n_feats": 8, "n_blocks": 2, "scale": 4}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def network(seed: int = 0, *, awake: bool = False, **changes: object) -> Network:
    """A small network; `awake`: its last convolution is not zero, as after the first step."""
    torch.manual_seed(seed)
    model = models.build({**SMALL, **changes})
    if awake:
        torch.nn.init.normal_(last_conv(model).weight, std=0.05)
    return model


def last_conv(model: Network) -> torch.nn.Conv2d:
    return [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)][-1]


def moved(parameter: Tensor) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


def lr_clip(frames: int = 3, height: int = 16, width: int = 24) -> Tensor:
    """(1, T, 3, h, w) of the real clip, in [0, 1]."""
    return torch.from_numpy(piece(frames, height, width).copy()).permute(0, 3, 1, 2)[None].float() / 255


@pytest.mark.parametrize(("scale", "parameters"), [(2, 2_643_651), (3, 2_735_971), (4, 2_791_363)])
def test_the_large_network_has_the_parameters_its_docstring_states(scale: int, parameters: int) -> None:
    model = models.build({"network": "vsrpp", "n_feats": 64, "n_blocks": 16, "scale": scale})
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert f"{parameters:,}" in str(type(model).__doc__)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("frames", "height", "width"), [(1, 8, 8), (3, 7, 5), (2, 1, 13), (2, 1, 1)])
def test_any_frame_count_and_odd_size_comes_out_scaled(scale: int, frames: int, height: int, width: int) -> None:
    sr = network(scale=scale, awake=True)(torch.rand(2, frames, 3, height, width))
    assert sr.shape == (2, frames, 3, scale * height, scale * width)
    assert sr.isfinite().all()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(16, 24), (7, 5), (2, 3)])
def test_an_untrained_network_is_the_projects_bicubic(scale: int, height: int, width: int) -> None:
    lr = lr_clip(2, height, width)
    rows, columns = (weights_matrix(size, size * scale, scale) for size in (height, width))
    expected = np.einsum("Hh,tchw,Ww->tcHW", rows, lr[0].double().numpy(), columns)
    sr = network(scale=scale)(lr)[0].detach().numpy()
    assert np.abs(sr - expected).max() < 1e-5


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_untrained_network_gives_the_pictures_of_resize_u8(scale: int) -> None:
    lr_u8 = piece(2, 30, 41)
    sr_u8 = upscale_frames(network(scale=scale), lr_u8, device="cpu")
    difference = np.abs(sr_u8.astype(int) - resize_u8(lr_u8, scale).astype(int))
    assert difference.max() <= 1  # a tie may round either way
    assert (difference > 0).mean() < 1e-3


def test_the_gradient_reaches_every_parameter() -> None:
    model = network(awake=True)
    (model(lr_clip()) - 0.3).abs().mean().backward()
    assert [name for name, parameter in model.named_parameters() if not moved(parameter)] == []


def test_the_first_step_moves_the_last_convolution_alone_and_the_second_the_rest() -> None:
    model, lr = network(), lr_clip()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    (model(lr) - 0.3).abs().mean().backward()
    last = {id(parameter) for parameter in last_conv(model).parameters()}
    assert {id(parameter) for parameter in model.parameters() if moved(parameter)} == last
    optimizer.step()
    (model(lr) - 0.3).abs().mean().backward()
    assert all(moved(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("changed", [0, 2, 4])
def test_every_frame_depends_on_every_frame(changed: int) -> None:
    model, lr = network(awake=True).eval(), lr_clip(5)
    other = lr.clone()
    other[:, changed] = 1 - other[:, changed]
    moved = (model(lr) - model(other)).abs().amax(dim=(0, 2, 3, 4))
    assert (moved > 0).all()


@pytest.mark.parametrize("device", DEVICES)
def test_two_runs_under_deterministic_algorithms_give_the_same_bits(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    def three_steps() -> dict[str, Tensor]:
        model = network(awake=True).to(device)
        lr = lr_clip().to(device)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            (model(lr) - 0.3).abs().mean().backward()
            optimizer.step()
        return model.state_dict()

    with deterministic():
        first, second = three_steps(), three_steps()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert network().exact


def test_the_clip_in_a_batch_is_the_clip_alone() -> None:
    model, lr = network(awake=True), torch.rand(3, 2, 3, 8, 9)
    torch.testing.assert_close(model(lr)[1:2], model(lr[1:2]), rtol=0, atol=1e-5)


def test_frame_by_frame_without_a_graph_is_the_same_as_with_one() -> None:
    model, lr = network(awake=True), lr_clip(4)
    with torch.no_grad():
        without = model(lr)
    torch.testing.assert_close(model(lr).detach(), without, rtol=0, atol=1e-5)


def test_bf16_autocast_trains_and_keeps_the_bicubic_part_in_fp32() -> None:
    lr = lr_clip()
    with torch.autocast("cpu", torch.bfloat16):
        untrained = network()(lr)
        sr = network(awake=True)(lr)
    assert untrained.dtype == torch.float32
    assert torch.equal(untrained, network()(lr))
    model = network(awake=True)
    with torch.autocast("cpu", torch.bfloat16):
        model(lr).float().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    torch.testing.assert_close(sr.float(), network(awake=True)(lr), rtol=0, atol=0.05)


def test_a_network_that_has_validated_under_inference_mode_trains_on() -> None:
    model, lr = network(awake=True), lr_clip()
    with torch.inference_mode():
        model(lr)
    model(lr).mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_checkpoint_of_the_weights_holds_convolutions_alone_and_they_are_contiguous() -> None:
    model = network()
    model(lr_clip())
    state = model.state_dict()
    assert {name.rsplit(".", 1)[1] for name in state} == {"weight", "bias"}
    assert all(tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in state.values())


def test_the_bicubic_matrices_of_many_sizes_do_not_pile_up() -> None:
    from vsrpp.models.bicubic import MAX_CACHED, BicubicUpscale

    upscale = BicubicUpscale(4)
    for size in range(1, 2 * MAX_CACHED):
        upscale(torch.zeros(1, size, size + 1))
    assert 0 < upscale.cached <= MAX_CACHED


def test_blocks_are_named_and_ordered_as_the_streams_run() -> None:
    blocks = network().blocks()
    assert list(blocks) == ["backward.0", "backward.1", "forward.0", "forward.1", "fusion.0", "fusion.1", "fusion.2"]
    assert len({id(block) for block in blocks.values()}) == len(blocks)


def test_hooks_on_blocks_see_every_frame_of_a_trunk_and_a_clip_at_once_in_fusion() -> None:
    model = network()
    seen: dict[str, list[tuple[int, ...]]] = {name: [] for name in model.blocks()}
    for name, block in model.blocks().items():
        block.register_forward_hook(lambda _m, _i, out, name=name: seen[name].append(tuple(out.shape)))
    model(torch.rand(2, 5, 3, 6, 7))
    assert seen["backward.0"] == seen["forward.1"] == [(2, 8, 6, 7)] * 5
    assert seen["fusion.0"] == seen["fusion.2"] == [(10, 8, 6, 7)]


def test_describe_tells_what_was_built_and_is_json() -> None:
    facts = models.describe(network(n_blocks=3))
    assert json.loads(json.dumps(facts)) == facts
    assert facts["per_direction_blocks"] == 3
    assert facts["fusion_layers"] == 3
    assert facts["scale"] == 4
    assert facts["exact"] is True
    assert facts["parameters"] == sum(parameter.numel() for parameter in network(n_blocks=3).parameters())


def test_the_flops_estimate_is_the_convolutions_counted_by_hand() -> None:
    trunks = (11 * 8 + 19 * 8) * 9 + 2 * 2 * 2 * 8 * 8 * 9
    fusion = 16 * 8 + 2 * 8 * 8 * 9
    upsampler = 8 * 32 * 9 + 4 * 8 * 16 * 9 + 16 * (4 * 4 + 4 * 3) * 9
    facts = models.describe(network(), lr_height=10, lr_width=20)
    assert facts["flops_per_lr_pixel"] == 2 * (trunks + fusion + upsampler)
    assert facts["flops_per_lr_frame"] == 200 * facts["flops_per_lr_pixel"]


def test_an_unknown_network_is_refused_with_the_names_there_are() -> None:
    with raises(messages.UNKNOWN_NETWORK, name="edsr", names="vsrpp, basicvsr, basicvsrpp"):
        models.build({**SMALL, "network": "edsr"})
    assert models.names() == ("vsrpp", "basicvsr", "basicvsrpp")


def test_the_same_seed_builds_the_same_weights() -> None:
    first, second = network(3).state_dict(), network(3).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_gated_fusion_starts_as_the_plain_join_and_learns_to_weigh() -> None:
    lr = lr_clip()
    gated = network(awake=True, gated_fusion=True)
    gate = gated.fusion[0].gate
    assert not gate.weight.any()
    before = gated(lr)
    join = gated.fusion[0].join
    plain = network(awake=True)
    shared = {k.replace("fusion.0.join.", "fusion.0."): v for k, v in gated.state_dict().items() if ".gate." not in k}
    plain.load_state_dict(shared)
    torch.testing.assert_close(before, plain(lr), rtol=0, atol=1e-6)
    (before - 0.3).abs().mean().backward()
    assert moved(gate.weight)
    assert moved(join[0].weight)
    extra = sum(p.numel() for p in gated.parameters()) - sum(p.numel() for p in plain.parameters())
    assert extra == 9 * 2 * 8 * 8 + 8
    assert models.describe(gated)["gated_fusion"] is True


def test_an_older_run_config_without_gated_fusion_builds_and_fits_the_plain_network() -> None:
    assert models.describe(network())["gated_fusion"] is False
    assert models.differing_keys({**SMALL, "gated_fusion": False}, SMALL) == []
    assert models.differing_keys({**SMALL, "gated_fusion": True}, SMALL) == [("gated_fusion", True, False)]
