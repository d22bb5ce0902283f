"""BasicVSR: the field's arithmetic, and weight files of other projects by key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from tests.support.flow_guided import mmedit_key, moving_clip, set_by_formula
from tests.support.reasons import raises
from vsrpp import models
from vsrpp.errors import Refused
from vsrpp.models import messages
from vsrpp.models.basicvsr_net import BasicVsrNet
from vsrpp.models.spynet import SpyNet, flow_warp

REFERENCE = json.loads(Path(__file__).with_name("basicvsr_reference.json").read_text())
SMALL = {"network": "basicvsr", "n_feats": 8, "n_blocks": 2, "scale": 4}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model() -> BasicVsrNet:
    """Weights by a formula that needs no generator: those of the reference."""
    made = BasicVsrNet(scale=4, n_feats=8, n_blocks=2)
    set_by_formula(made)
    return made


def test_flow_and_picture_are_those_of_basicsr(model: BasicVsrNet) -> None:
    lr = moving_clip()
    with torch.no_grad():
        flow = model.spynet(lr[:, 2], lr[:, 1])[0, :, ::23, ::29].flatten(1)
        picture = model(lr)[0, 1, :, ::93, ::83].flatten(1)
    torch.testing.assert_close(flow, torch.tensor(REFERENCE["flow_to_previous"]), rtol=0, atol=2e-4)
    torch.testing.assert_close(picture, torch.tensor(REFERENCE["frame_1"]), rtol=0, atol=2e-5)


def test_frame_by_frame_without_a_graph_is_the_same_as_with_one(model: BasicVsrNet) -> None:
    lr = moving_clip(3, 32, 40)
    with torch.no_grad():
        without = model(lr)
    torch.testing.assert_close(model(lr).detach(), without, rtol=0, atol=1e-5)


def test_published_sizes_have_the_published_number_of_parameters() -> None:
    made = models.build({"network": "basicvsr", "n_feats": 64, "n_blocks": 30, "scale": 4})
    assert sum(parameter.numel() for parameter in made.parameters()) == 6_291_311
    assert sum(parameter.numel() for parameter in SpyNet().parameters()) == 1_440_300
    assert made.exact is False
    assert not models.exact(SMALL)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("frames", "height", "width"), [(1, 8, 8), (2, 5, 7), (2, 1, 13)])
def test_any_frame_count_and_odd_size_comes_out_scaled(scale: int, frames: int, height: int, width: int) -> None:
    made = models.build({**SMALL, "scale": scale})
    sr = made(torch.rand(2, frames, 3, height, width))
    assert sr.shape == (2, frames, 3, scale * height, scale * width)
    assert sr.isfinite().all()


def test_warping_along_a_flow_of_one_pixel_shifts_the_picture() -> None:
    picture = torch.rand(1, 2, 5, 6)
    flow = torch.zeros(1, 2, 5, 6)
    flow[:, 0] = 1.0
    torch.testing.assert_close(flow_warp(picture, flow)[..., :-1], picture[..., 1:])
    assert not flow_warp(picture, flow)[..., -1].any()


def test_bf16_autocast_keeps_flow_and_coordinates_in_fp32(model: BasicVsrNet) -> None:
    lr = moving_clip(2, 32, 40)
    plain = model.spynet(lr[:, 0], lr[:, 1])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.spynet(lr[:, 0], lr[:, 1]), plain)
        assert flow_warp(lr[:, 0].bfloat16(), plain).dtype == torch.float32
        model(lr).float().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def saved(folder: Path, form: str, weights: dict[str, Tensor]) -> Path:
    path = folder / f"weights.{'safetensors' if form == 'safetensors' else 'pth'}"
    documents: dict[str, Any] = {
        "plain": weights,
        "module.": {f"module.{key}": value for key, value in weights.items()},
        "params": {"params": weights},
        "params_ema": {"params": {k: v + 1 for k, v in weights.items()}, "params_ema": weights},
        "gan": {"net_g": {"params": {}, "params_ema": weights}, "net_d": {"params": {"conv.weight": torch.zeros(3)}}},
        "trainer": {
            "state_dict": {
                **{f"module.model.net_g.{key}": value for key, value in weights.items()},
                "module.vgg.conv.weight": torch.zeros(3),
            },
        },
        "mmedit": {
            "meta": {"iter": 300_000, "time": "Sat"},
            "state_dict": {
                "step_counter": torch.zeros(1),
                **{f"generator.{mmedit_key(key)}": value for key, value in weights.items()},
            },
        },
    }
    if form == "safetensors":
        safetensors.torch.save_file(weights, path)
    else:
        torch.save(documents[form], path)
    return path


@pytest.mark.parametrize(
    "form", ["plain", "module.", "params", "params_ema", "mmedit", "gan", "trainer", "safetensors"]
)
def test_every_form_of_weight_file_gives_the_same_network(form: str, model: BasicVsrNet, tmp_path: Path) -> None:
    path = saved(tmp_path, form, model.state_dict())
    other = models.build(SMALL)
    assert "all weights" in models.load_pretrained(other, path).line
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("mmedit", [False, True])
def test_a_flow_file_fills_the_flow_network_alone(mmedit: bool, model: BasicVsrNet, tmp_path: Path) -> None:
    flow = {k: v for k, v in model.spynet.state_dict().items() if k not in ("mean", "std")}
    if mmedit:
        flow = {mmedit_key(key): value for key, value in flow.items()}
    torch.save({"params": flow} if not mmedit else flow, tmp_path / "spynet.pth")
    torch.manual_seed(5)
    other = models.build(SMALL)
    trunk = other.state_dict()["fusion.weight"].clone()
    assert "flow network" in models.load_pretrained(other, tmp_path / "spynet.pth").line
    assert torch.equal(other.state_dict()["fusion.weight"], trunk)
    assert all(torch.equal(v, other.state_dict()[f"spynet.{k}"]) for k, v in model.spynet.state_dict().items())


def test_what_does_not_fit_is_refused_in_one_line_and_changes_nothing(model: BasicVsrNet, tmp_path: Path) -> None:
    weights = model.state_dict()
    del weights["fusion.bias"], weights["conv_hr.bias"]
    weights["extra.weight"] = torch.zeros(1)
    torch.save(weights, tmp_path / "w.pth")
    other = models.build(SMALL)
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(Refused) as refused:
        models.load_pretrained(other, tmp_path / "w.pth")
    assert str(refused.value) == (
        f"{tmp_path / 'w.pth'} does not fit the network basicvsr: 2 keys missing (conv_hr.bias, fusion.bias);"
        " 1 key unexpected (extra.weight). To load the tensors that fit: pretrained_partial=true."
    )
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())


def test_a_file_of_another_size_says_which(model: BasicVsrNet, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "w.pth")
    with pytest.raises(Refused, match=r"has n_feats=8 n_blocks=2; the network has n_feats=4 n_blocks=3\."):
        models.load_pretrained(models.build({**SMALL, "n_feats": 4, "n_blocks": 3}), tmp_path / "w.pth")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run by a weight file",))


def test_a_file_with_code_or_rubbish_is_refused_and_never_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"params": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "rubbish.pth").write_bytes(b"no weights")
    (tmp_path / "rubbish.safetensors").write_bytes(b"no weights")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    for name in ("evil.pth", "rubbish.pth", "rubbish.safetensors", "none.pth"):
        with pytest.raises(Refused, match=name):
            models.load_pretrained(models.build(SMALL), tmp_path / name)
    with raises(messages.NO_WEIGHT_FILE, path=tmp_path / "missing.pth"):
        models.load_pretrained(models.build(SMALL), tmp_path / "missing.pth")
    assert capsys.readouterr().out == ""


def test_blocks_are_watched_by_the_names_of_the_streams(model: BasicVsrNet) -> None:
    assert list(model.blocks()) == ["backward.0", "backward.1", "forward.0", "forward.1", "fusion.0"]
    assert all(isinstance(block, nn.Module) for block in model.blocks().values())
    assert json.loads(json.dumps(models.describe(model)))["flow_parameters"] == 1_440_300
