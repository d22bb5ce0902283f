"""Each loss against a value worked out by hand, and how weights reach the total."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.support.reasons import raises
from vsrpp import losses
from vsrpp.config import schema
from vsrpp.losses import messages, terms
from vsrpp.losses.perceptual import CONV_CHANNELS, IMAGENET_MEAN, IMAGENET_STD, VggFeatureLoss

PLAIN = {"l1": 0.6, "ms": 0.2, "grad": 0.2, "perceptual": 0.0}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def torchvision_vgg19_state() -> dict[str, Tensor]:
    """Random weights under torchvision's keys and shapes up to conv5_4, and one key of the classifier."""
    generator = torch.Generator().manual_seed(0)
    state, number, channels = {}, 0, 3
    for stage in CONV_CHANNELS:
        for out in stage:
            he = (2 / (channels * 9)) ** 0.5
            state[f"features.{number}.weight"] = torch.randn(out, channels, 3, 3, generator=generator) * he
            state[f"features.{number}.bias"] = torch.randn(out, generator=generator) * 0.1
            number, channels = number + 2, out  # a ReLU after each
        number += 1  # a pool after each stage
    return {**state, "classifier.0.bias": torch.zeros(4096)}


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "vgg19-dcbb9e9d.pth"
    torch.save(torchvision_vgg19_state(), path)
    return path


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_l1_is_the_mean_absolute_error() -> None:
    assert terms.l1(torch.tensor([[[[1.0, -2.0], [0.5, 0.0]]]])).item() == pytest.approx(3.5 / 4)


def test_charbonnier_is_the_absolute_error_smoothed_at_nought() -> None:
    error = torch.tensor([3e-6, -4e-1, 0.0], dtype=torch.float64, requires_grad=True)
    loss = terms.charbonnier(error)
    assert loss.item() == pytest.approx((10**0.5 * 1e-6 + 0.4 + 1e-6) / 3, rel=1e-9)
    loss.backward()
    assert error.grad is not None and error.grad[2] == 0


def test_the_pixel_loss_of_the_run_is_what_l1_weight_weighs() -> None:
    pred, gt = pictures(1, 2, 3, 16, 16), pictures(1, 2, 3, 16, 16, seed=1)
    built = losses.build({"pixel_loss": "charbonnier"})
    total, values = built(pred, gt, {"l1": 1.0})
    assert total.item() == values["l1"].item() == pytest.approx(terms.charbonnier(pred - gt).item())
    assert losses.build({})(pred, gt, {"l1": 1.0})[0].item() == pytest.approx(terms.l1(pred - gt).item())


def test_multi_scale_sees_an_offset_at_every_scale() -> None:
    assert terms.multi_scale(torch.full((2, 3, 16, 24), -0.25)).item() == pytest.approx(0.25)


def test_multi_scale_is_blind_to_a_checkerboard_and_feels_a_patch_less_at_each_scale() -> None:
    checkerboard = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)[None, None]
    assert terms.multi_scale(checkerboard).item() == 0
    patch = torch.zeros(1, 1, 8, 8)
    patch[..., :2, :2] = 1.0
    patch[..., 4:6, 4:6] = -1.0
    # ×2: 2 of 16 cells are ±1; ×4: 2 of 4 cells are ±1/4; ×8: the one cell is 0.
    assert terms.multi_scale(patch).item() == pytest.approx((2 / 16 + 2 * 0.25 / 4 + 0) / 3)


def test_multi_scale_takes_the_pixels_there_are_where_a_pool_does_not_divide_the_picture() -> None:
    column = torch.tensor([1.0, 1.0, -0.5]).view(1, 1, 3, 1)
    # ×2: cells 1 and -0.5; ×4 and ×8: one cell, the mean 0.5.
    assert terms.multi_scale(column).item() == pytest.approx((0.75 + 0.5 + 0.5) / 3)


def test_gradient_is_zero_for_an_offset_and_the_slope_for_a_ramp() -> None:
    assert terms.gradient(torch.full((1, 3, 5, 7), 0.4)).item() == pytest.approx(0, abs=1e-7)
    ramp = torch.arange(7.0).expand(1, 3, 5, 7) * 0.1
    assert terms.gradient(ramp).item() == pytest.approx((0.1 + 0) / 2)


def test_gradient_counts_horizontal_and_vertical_differences_alike() -> None:
    error = torch.tensor([[[[0.0, 1.0], [3.0, 0.0]]]])
    assert terms.gradient(error).item() == pytest.approx(((1 + 3) / 2 + (3 + 1) / 2) / 2)


def test_the_total_is_the_weighted_sum_of_the_terms() -> None:
    pred, gt = pictures(2, 3, 3, 13, 17), pictures(2, 3, 3, 13, 17, seed=1)
    total, values = losses.build({})(pred, gt, PLAIN)
    assert list(values) == ["l1", "ms", "grad"]
    assert total.item() == pytest.approx(sum(PLAIN[term] * values[term].item() for term in values))
    assert values["l1"].item() == pytest.approx((pred - gt).abs().mean().item())


def test_a_perfect_picture_costs_nothing() -> None:
    gt = pictures(1, 2, 3, 16, 16)
    total, values = losses.build({})(gt.clone(), gt, PLAIN)
    assert total.item() == 0
    assert all(value.item() == 0 for value in values.values())


def test_a_changed_weight_counts_on_the_next_call() -> None:
    loss, weights = losses.build({}), dict(PLAIN)
    pred, gt = pictures(1, 2, 3, 16, 16), pictures(1, 2, 3, 16, 16, seed=1)
    before, values = loss(pred, gt, weights)
    weights.update(l1=0.8, ms=0.0)
    after, _ = loss(pred, gt, weights)
    assert (after - before).item() == pytest.approx(0.2 * values["l1"].item() - 0.2 * values["ms"].item(), abs=1e-6)


def test_a_term_of_weight_zero_is_reported_and_adds_no_gradient() -> None:
    gt = pictures(1, 1, 3, 16, 16)
    pred = pictures(1, 1, 3, 16, 16, seed=1).requires_grad_()
    total, values = losses.build({})(pred, gt, {"l1": 1.0, "ms": 0.0, "grad": 0.0})
    total.backward()
    assert values["ms"].item() > 0
    assert pred.grad is not None
    torch.testing.assert_close(pred.grad, (pred - gt).detach().sign() / pred.numel())


def test_no_value_reported_holds_the_graph() -> None:
    pred = pictures(1, 1, 3, 16, 16).requires_grad_()
    total, values = losses.build({})(pred, torch.zeros(1, 1, 3, 16, 16), PLAIN)
    assert total.requires_grad
    assert not any(value.requires_grad for value in values.values())


def test_losses_are_fp32_under_bf16_autocast() -> None:
    pred, gt = pictures(1, 2, 3, 16, 16), pictures(1, 2, 3, 16, 16, seed=1)
    expected, _ = losses.build({})(pred, gt, PLAIN)
    with torch.autocast("cpu", torch.bfloat16):
        total, values = losses.build({})(pred, gt, PLAIN)
    assert total.dtype == torch.float32
    assert {value.dtype for value in values.values()} == {torch.float32}
    assert torch.equal(total, expected)


def test_a_non_finite_picture_makes_the_total_non_finite() -> None:
    pred = pictures(1, 1, 3, 16, 16)
    pred[0, 0, 0, 3, 3] = float("nan")
    assert losses.build({})(pred, torch.zeros_like(pred), PLAIN)[0].isnan()


@pytest.mark.parametrize("weights", [{}, {"l1": 0.0}, {"l2": 1.0}])
def test_weights_that_weigh_nothing_are_an_error(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="loss term"):
        losses.build({})(pictures(1, 1, 3, 8, 8), pictures(1, 1, 3, 8, 8), weights)


def test_the_table_of_terms_is_complete_and_every_function_exists() -> None:
    table = schema.loss_terms()
    assert [term.name for term in table] == ["l1", "ms", "grad", "perceptual"] == list(losses.build({}).terms)
    for term in table:
        module, _, name = term.function.partition(":")
        assert callable(getattr(importlib.import_module(module), name)), term.function
        assert term.key in schema.live_parameters() and term.label and len(term.colour) == 7


@pytest.mark.parametrize("device", DEVICES)
def test_two_backward_passes_under_deterministic_algorithms_give_the_same_bits(
    device: str, vgg_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    loss = losses.build({"perceptual_weights": str(vgg_file)}).to(device)
    gt = pictures(1, 2, 3, 33, 35, seed=1).to(device)

    def gradient() -> Tensor:
        pred = pictures(1, 2, 3, 33, 35).to(device).requires_grad_()
        loss(pred, gt, {"l1": 0.4, "ms": 0.2, "grad": 0.2, "perceptual": 0.2})[0].backward()
        assert pred.grad is not None
        return pred.grad

    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(gradient(), gradient())
    finally:
        torch.use_deterministic_algorithms(False)


def test_perceptual_features_are_those_of_torchvisions_layers(vgg_file: Path) -> None:
    """The same features spelled out from the file's keys: a ReLU after each convolution but the last, five stages."""
    state = torch.load(vgg_file, weights_only=True)
    pred, gt = pictures(2, 3, 32, 48), pictures(2, 3, 32, 48, seed=1)

    def conv5_4(x: Tensor) -> Tensor:
        x = (x - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
        for number in (0, 2, "pool", 5, 7, "pool", 10, 12, 14, 16, "pool", 19, 21, 23, 25, "pool", 28, 30, 32):
            if number == "pool":
                x = nn.functional.max_pool2d(x, 2)
            else:
                weight, bias = state[f"features.{number}.weight"], state[f"features.{number}.bias"]
                x = nn.functional.conv2d(x, weight, bias, padding=1).relu()
        return nn.functional.conv2d(x, state["features.34.weight"], state["features.34.bias"], padding=1)

    expected = (conv5_4(pred) - conv5_4(gt)).abs().mean()
    torch.testing.assert_close(VggFeatureLoss(vgg_file)(pred, gt), expected)


def test_perceptual_weighs_in_with_every_frame_and_passes_its_gradient(vgg_file: Path) -> None:
    loss = losses.build({"perceptual_weights": str(vgg_file)})
    gt = pictures(1, 2, 3, 32, 32, seed=1)
    pred = pictures(1, 2, 3, 32, 32).requires_grad_()
    total, values = loss(pred, gt, {"l1": 0.5, "perceptual": 0.5})
    total.backward()
    assert total.item() == pytest.approx(0.5 * values["l1"].item() + 0.5 * values["perceptual"].item())
    assert pred.grad is not None
    assert pred.grad.abs().sum(dim=(0, 2, 3, 4)).all()
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_perceptual_is_not_computed_at_weight_zero(vgg_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = losses.build({"perceptual_weights": str(vgg_file)})
    monkeypatch.setattr(VggFeatureLoss, "forward", lambda *_: pytest.fail("computed"))
    _, values = loss(pictures(1, 1, 3, 16, 16), pictures(1, 1, 3, 16, 16, seed=1), PLAIN)
    assert "perceptual" not in values


def test_perceptual_needs_pictures_its_pools_leave_something_of(vgg_file: Path) -> None:
    with pytest.raises(ValueError, match="at least 16 pixels a side, not 15×40"):
        VggFeatureLoss(vgg_file)(pictures(1, 3, 15, 40), pictures(1, 3, 15, 40))


def test_the_perceptual_loss_draws_no_random_numbers(vgg_file: Path) -> None:
    before = torch.get_rng_state()
    losses.build({"perceptual_weights": str(vgg_file)})
    assert torch.equal(torch.get_rng_state(), before)


def test_no_weight_file_is_needed_for_perceptual_weight_zero() -> None:
    pred, gt = pictures(1, 1, 3, 16, 16), pictures(1, 1, 3, 16, 16, seed=1)
    for run_config in ({"perceptual_weights": None}, {}):
        assert "perceptual" not in losses.build(run_config)(pred, gt, PLAIN)[1]


def test_perceptual_without_a_weight_file_is_refused() -> None:
    with raises(messages.NO_PERCEPTUAL_FILE):
        losses.build({})(pictures(1, 1, 3, 16, 16), pictures(1, 1, 3, 16, 16), {"perceptual": 1.0})


def test_a_missing_weight_file_is_refused_with_its_path_and_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "vgg19-dcbb9e9d.pth"
    with raises(messages.PERCEPTUAL_FILE, path=path, cause="no such file") as refused:
        losses.build({"perceptual_weights": str(path)})
    assert "download https://download.pytorch.org/models/vgg19-dcbb9e9d.pth" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 torn"])
def test_a_file_that_is_no_weight_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vgg.pth"
    path.write_bytes(content)
    with raises(messages.PERCEPTUAL_FILE, path=path, cause="not a torch weight file"):
        losses.build({"perceptual_weights": str(path)})


@pytest.mark.parametrize("kind", ["another network", "another shape", "a list", "code"])
def test_weights_of_another_network_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "vgg.pth"
    wrong: dict[str, object] = {
        "another network": {"conv1.weight": torch.zeros(64, 3, 7, 7)},
        "another shape": {"features.0.weight": torch.zeros(64, 1, 3, 3)},
        "a list": [torch.zeros(3)],
        "code": nn.Conv2d(3, 3, 3),
    }
    torch.save(wrong[kind], path)
    reason = "not a torch weight file" if kind == "code" else "(features.0.weight is missing or of another shape)"
    with raises(messages.PERCEPTUAL_FILE, path=path) as refused:
        losses.build({"perceptual_weights": str(path)})
    assert reason in refused.value.fields["cause"]
