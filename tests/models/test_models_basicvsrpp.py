"""BasicVSR++: the field's arithmetic, its deformable convolution by definition, and weight files of other projects by key."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.flow_guided import deformable_by_definition, mmedit_key, moving_clip, set_by_formula
from vsrpp import models
from vsrpp.errors import Refused
from vsrpp.models import deformable
from vsrpp.models.basicvsrpp_net import BRANCHES, BasicVsrPlusPlusNet
from vsrpp.models.deformable import TAPS, deformable_conv

REFERENCE = json.loads(Path(__file__).with_name("basicvsrpp_reference.json").read_text())
"""Written by scripts/basicvsrpp_reference."""
SMALL = {"network": "basicvsrpp", "n_feats": 8, "n_blocks": 1, "scale": 4}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model() -> BasicVsrPlusPlusNet:
    """Weights by a formula that needs no generator: those of the reference."""
    made = BasicVsrPlusPlusNet(scale=4, n_feats=8, n_blocks=2)
    set_by_formula(made)
    return made


def picture_of(model: BasicVsrPlusPlusNet) -> Tensor:
    """The pixels that the reference has."""
    with torch.no_grad():
        picture: Tensor = model(moving_clip(3, 64, 70))[0, :, :, ::37, ::41]
    return picture


def drawn(groups: int, height: int, width: int, reach: float = 4.0) -> tuple[Tensor, ...]:
    """Features, offsets, mask, weights and bias of a deformable convolution; the offsets leave the picture, too."""
    torch.manual_seed(height * width)
    return (
        torch.randn(2, 8, height, width),
        reach * torch.randn(2, groups * 2 * TAPS, height, width),
        torch.rand(2, groups * TAPS, height, width),
        torch.randn(6, 8, 3, 3),
        torch.randn(6),
    )


# ---- the arithmetic
def test_the_picture_is_basicsrs(model: BasicVsrPlusPlusNet) -> None:
    expected = torch.tensor(REFERENCE["picture"]).view(REFERENCE["shape"])
    torch.testing.assert_close(picture_of(model), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("place", ["first half", "second half", "mask"])
def test_the_reference_sees_every_part_of_the_alignment(model: BasicVsrPlusPlusNet, place: str) -> None:
    taps = 16 * TAPS
    rows = {"first half": slice(0, taps), "second half": slice(taps, 2 * taps), "mask": slice(2 * taps, 3 * taps)}[
        place
    ]
    with torch.no_grad():
        model.deform_align["forward_2"].conv_offset[-1].bias[rows] += 0.3  # type: ignore[index,union-attr]
    expected = torch.tensor(REFERENCE["picture"]).view(REFERENCE["shape"])
    assert (picture_of(model) - expected).abs().max() > 1e-4


@pytest.mark.parametrize(("groups", "height", "width"), [(4, 5, 7), (1, 4, 4), (8, 1, 4), (2, 3, 1)])
def test_a_deformable_convolution_is_what_its_definition_says(groups: int, height: int, width: int) -> None:
    given = drawn(groups, height, width)
    torch.testing.assert_close(deformable_conv(*given).double(), deformable_by_definition(*given), rtol=0, atol=1e-4)


def test_without_offsets_and_with_a_mask_of_ones_it_is_a_convolution() -> None:
    features, offset, mask, weight, bias = drawn(4, 6, 9)
    plain = torch.conv2d(features, weight, bias, padding=1)
    found = deformable_conv(features, torch.zeros_like(offset), torch.ones_like(mask), weight, bias)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-4)


def test_its_gradients_are_those_of_differences() -> None:
    features, offset, mask, weight, bias = (value.double() for value in drawn(2, 2, 3, reach=0.9))
    given = (features[:1], offset[:1], mask[:1], weight[:2], bias[:2])
    assert torch.autograd.gradcheck(deformable_conv, tuple(value.clone().requires_grad_() for value in given))


def test_an_untrained_alignment_reads_along_the_flow() -> None:
    align = models.build(SMALL).deform_align["forward_1"]
    states, known = torch.rand(1, 16, 6, 9), torch.rand(1, 24, 6, 9)
    right = torch.zeros(1, 2, 6, 9)
    right[:, 0] = 1.0
    found = align(states, known, flow=right, older_flow=right)
    assert align.bias is not None and not align.bias.any()
    still = 0.5 * torch.conv2d(states, align.weight, padding=1)  # an untrained mask is a half everywhere
    torch.testing.assert_close(found[..., 1:-2], still[..., 2:-1], rtol=0, atol=1e-5)


# ---- torchvision's kernel
@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A stand-in for `torchvision.ops`."""
    module = types.ModuleType("torchvision.ops")
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.ops", module)
    deformable.torchvision_kernel.cache_clear()
    yield module
    deformable.torchvision_kernel.cache_clear()


@pytest.mark.parametrize("fault", [ImportError, RuntimeError, NotImplementedError])
def test_a_torchvision_that_cannot_be_used_leaves_plain_torch(
    torchvision: types.ModuleType, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def importing(name: str) -> Any:
        raise fault("operator torchvision::nms does not exist")

    monkeypatch.setattr(deformable.importlib, "import_module", importing)
    assert deformable.torchvision_kernel(torch.device("cuda")) is None


class OnCuda(Tensor):
    """Says that it is on a GPU."""

    is_cuda = True


def test_on_cuda_torchvisions_kernel_gets_what_its_signature_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    def deform_conv2d(
        input: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0,
        dilation: int = 1, mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        assert (stride, padding, dilation) == (1, 1, 1) and mask is not None and bias is not None
        plain = input.as_subclass(Tensor)
        return deformable_by_definition(plain, offset, mask, weight, bias)

    monkeypatch.setattr(deformable, "torchvision_kernel", lambda _device: deform_conv2d)
    features, *rest = drawn(4, 5, 7)
    found = deformable_conv(features.as_subclass(OnCuda), *rest)
    torch.testing.assert_close(found, deformable_conv(features, *rest).double(), rtol=0, atol=1e-4)


def test_on_a_cpu_the_bits_do_not_depend_on_torchvision(torchvision: types.ModuleType) -> None:
    given = drawn(4, 5, 7)
    before = deformable_conv(*given)
    torchvision.deform_conv2d = lambda *_, **__: torch.zeros(1)  # type: ignore[attr-defined]
    assert torch.equal(deformable_conv(*given), before)


# ---- the network
def test_published_sizes_have_the_published_number_of_parameters() -> None:
    made = models.build({"network": "basicvsrpp", "n_feats": 64, "n_blocks": 7, "scale": 4})
    assert f"{sum(parameter.numel() for parameter in made.parameters()):,}" in str(type(made).__doc__)
    assert sum(parameter.numel() for parameter in made.parameters()) == 7_322_927
    assert made.exact is False
    assert not models.exact(SMALL)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("frames", "height", "width"), [(1, 8, 8), (4, 5, 7), (2, 1, 13)])
def test_any_frame_count_and_odd_size_comes_out_scaled(scale: int, frames: int, height: int, width: int) -> None:
    made = models.build({**SMALL, "n_feats": 6, "scale": scale})
    sr = made(torch.rand(2, frames, 3, height, width))
    assert sr.shape == (2, frames, 3, scale * height, scale * width)
    assert sr.isfinite().all()


@pytest.mark.parametrize("changed", [0, 3])
def test_every_frame_depends_on_every_frame(model: BasicVsrPlusPlusNet, changed: int) -> None:
    lr = moving_clip(4, 16, 20)
    other = lr.clone()
    other[:, changed] = 1 - other[:, changed]
    with torch.no_grad():
        moved = (model(lr) - model(other)).abs().amax(dim=(0, 2, 3, 4))
    assert (moved > 0).all()


def test_gradient_checkpointing_and_no_graph_change_nothing(model: BasicVsrPlusPlusNet) -> None:
    lr = moving_clip(3, 16, 20)
    with torch.no_grad():
        without = model(lr)
    gradients = []
    for model.gradient_checkpointing in (False, True):
        model.zero_grad()
        sr = model(lr)
        sr.square().mean().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})  # type: ignore[union-attr]
        torch.testing.assert_close(sr.detach(), without, rtol=0, atol=1e-5)
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])
    assert all(gradient.any() for name, gradient in gradients[0].items() if not name.startswith("spynet"))


def test_bf16_autocast_keeps_flow_and_positions_in_fp32(
    model: BasicVsrPlusPlusNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []

    def watched(features: Tensor, offset: Tensor, *rest: Tensor) -> Tensor:
        seen.extend((features.dtype, offset.dtype))
        return deformable_conv(features, offset, *rest)

    monkeypatch.setattr("vsrpp.models.basicvsrpp_net.deformable_conv", watched)
    with torch.autocast("cpu", torch.bfloat16):
        model(moving_clip(2, 16, 20)).float().mean().backward()
    assert set(seen) == {torch.float32}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_branches_are_watched_and_measured_by_their_names(model: BasicVsrPlusPlusNet) -> None:
    streams = [name.split(".")[0] for name in model.blocks()]
    assert list(dict.fromkeys(streams)) == ["spatial", *BRANCHES, "reconstruction"]
    assert len(streams) == 5 + 4 * 2 + 5
    assert list(model.recurrences()) == list(BRANCHES)
    facts = models.describe(model)
    assert json.loads(json.dumps(facts))["flow_parameters"] == 1_440_300
    assert facts["flops_per_lr_frame"] > 0


def test_the_flops_are_the_convolutions_counted_one_by_one(model: BasicVsrPlusPlusNet) -> None:
    counted = 0.0

    def count(layer: torch.nn.Module, _given: Any, output: Tensor) -> None:
        nonlocal counted
        assert isinstance(layer, torch.nn.Conv2d)
        counted += 2 * layer.weight.numel() * output.shape[-2] * output.shape[-1] * len(output)

    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    per_frame = []
    for frames in (2, 3):  # the frame between has all: both flows, and an alignment in every branch
        counted = 0.0
        with torch.no_grad():
            model(torch.rand(1, frames, 3, 32, 32))
        per_frame.append(counted)
    assert models.describe(model)["flops_per_lr_pixel"] * 32 * 32 == pytest.approx(
        per_frame[1] - per_frame[0], rel=1e-6
    )


# ---- weight files
@pytest.mark.parametrize("form", ["basicsr", "mmedit"])
def test_both_layouts_of_published_files_give_the_same_network(
    form: str, model: BasicVsrPlusPlusNet, tmp_path: Path
) -> None:
    weights = model.state_dict()
    documents: dict[str, Any] = {
        "basicsr": {"params": weights},
        "mmedit": {
            "meta": {"iter": 600_000},
            "state_dict": {
                "step_counter": torch.zeros(1),
                **{f"generator.{mmedit_key(key)}": value for key, value in weights.items()},
            },
        },
    }
    torch.save(documents[form], tmp_path / "w.pth")
    other = models.build({**SMALL, "n_blocks": 2})
    assert "all weights" in models.load_pretrained(other, tmp_path / "w.pth").line
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in weights.items())


def test_a_file_of_another_size_says_which(model: BasicVsrPlusPlusNet, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "w.pth")
    with pytest.raises(Refused, match=r"has n_feats=8 n_blocks=2; the network has n_feats=8 n_blocks=1\."):
        models.load_pretrained(models.build(SMALL), tmp_path / "w.pth")
