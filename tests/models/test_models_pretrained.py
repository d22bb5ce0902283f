"""Partial loading: what fits is loaded, the rest stays as it was, both are listed; if nothing fits, it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.support.reasons import raises
from vsrpp import models
from vsrpp.models import messages

SMALL: dict[str, Any] = {"network": "vsrpp", "scale": 4, "n_feats": 8, "n_blocks": 2}


def _network(seed: int, **changes: Any) -> models.Network:
    torch.manual_seed(seed)
    return models.build({**SMALL, **changes})


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    safetensors.torch.save_file(_network(1).state_dict(), tmp_path / "x4.safetensors")
    return tmp_path / "x4.safetensors"


@pytest.mark.parametrize("changes", [{"scale": 2}, {"n_blocks": 3}, {"gated_fusion": True}, {"n_blocks": 1}, {}])
def test_what_fits_is_loaded_and_the_rest_keeps_the_bits_of_its_seed(weights: Path, changes: dict[str, Any]) -> None:
    theirs = safetensors.torch.load_file(weights)
    ours, untouched = _network(2, **changes), _network(2, **changes).state_dict()
    loaded = models.load_pretrained(ours, weights, partial=True)
    state = ours.state_dict()
    assert {*loaded.loaded, *loaded.fresh} == state.keys()
    assert not set(loaded.loaded) & set(loaded.fresh)
    assert set(loaded.unused) == theirs.keys() - set(loaded.loaded)
    for key, value in state.items():
        expected = theirs[key] if key in loaded.loaded else untouched[key]
        assert torch.equal(value, expected)
    for kept, names in (("stay fresh", loaded.fresh), ("are not used", loaded.unused)):
        assert (f"{len(names)} " in loaded.line and kept in loaded.line) == bool(names)
    assert len(loaded.fresh) == sum(
        key not in theirs or theirs[key].shape != value.shape for key, value in untouched.items()
    )
    assert "\n" not in loaded.line


def test_the_line_counts_and_names(weights: Path) -> None:
    line = models.load_pretrained(_network(2, scale=2), weights, partial=True).line
    assert line.startswith("26 of the network's 32 tensors (85% of its weights) from x4.safetensors; 6 stay fresh (")
    assert "; 8 in the file are not used (upsampler.0.bias, upsampler.0.weight, upsampler.3.bias and 5 more)" in line


def test_a_file_of_which_nothing_fits_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    torch.save({"params": {"conv.weight": torch.zeros(2), "mean": torch.zeros(3)}}, tmp_path / "other.pth")
    network = _network(2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with raises(messages.NOTHING_FITS, path=tmp_path / "other.pth", count=2):
        models.load_pretrained(network, tmp_path / "other.pth", partial=True)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_file_of_the_flow_network_alone_fills_it_partly_too(tmp_path: Path) -> None:
    network = _network(1, network="basicvsr")
    flow = network.flow_network()
    assert flow is not None
    some = dict(list(flow.state_dict().items())[:6])
    torch.save(some, tmp_path / "flow.pth")
    loaded = models.load_pretrained(_network(2, network="basicvsr"), tmp_path / "flow.pth", partial=True)
    assert loaded.loaded == tuple(f"spynet.{key}" for key in some if key not in ("mean", "std"))
    assert "fusion.weight" in loaded.fresh


def test_a_network_whose_own_keys_begin_like_a_prefix_keeps_them(tmp_path: Path) -> None:
    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = _network(1)

        def flow_network(self) -> None:
            return None

        def facts(self) -> dict[str, Any]:
            return {"network": "wrapped"}

    torch.save({"net_g": {f"module.{k}": v for k, v in Wrapped().state_dict().items()}}, tmp_path / "w.pth")
    network: Any = Wrapped()
    assert all(key.startswith("model.") for key in models.load_pretrained(network, tmp_path / "w.pth").loaded)
