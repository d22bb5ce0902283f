"""The recurrence at validations: its hidden state and its gain by window length, the events, and the old rules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.runs import Steered, configs
from vsrpp import models, paths
from vsrpp.data import ValClip, open_data
from vsrpp.data.split import Span
from vsrpp.launch import run_configs
from vsrpp.models.vsrpp_net import STATE_LEAK, VsrppNet, bounded
from vsrpp.paths import CheckpointPaths
from vsrpp.training import messages
from vsrpp.training.recurrence import measure

FIGURES = {
    "val/gain_window", "val/gain_train_window", "val/recurrence_growth",
    *(f"val/hidden_{way}_{end}" for way in ("forward", "backward") for end in ("first", "last")),
}  # fmt: skip


def exploding(version: int) -> VsrppNet:
    """A network whose trunks multiply a hidden state by 1.4."""
    torch.manual_seed(0)
    model = VsrppNet(scale=4, n_feats=4, n_blocks=1, version=version)
    for trunk in (model.backward_trunk, model.forward_trunk):
        conv = trunk.head[0]
        assert isinstance(conv, torch.nn.Conv2d)
        torch.nn.init.constant_(conv.weight, 0.01)
        with torch.no_grad():
            for channel in range(4):
                conv.weight[channel, 3 + channel, 1, 1] = 1.4
            conv.bias.fill_(0.1)  # type: ignore[union-attr]
    return model


@pytest.fixture
def clip(tiny_clip: Path) -> ValClip:
    """All 24 frames of the tiny clip."""
    whole = open_data(configs(tiny_clip, scale=4)[0], cache_dir=paths.cache_dir()).clips[0]
    return ValClip(Span(whole, 0, whole.frames))


def test_growth_is_measured_per_frame_and_version_2_bounds_it(clip: ValClip) -> None:
    figures = {v: measure(exploding(v), clip, 3, 4, device=torch.device("cpu"), precision="fp32") for v in (1, 2)}
    assert {f"val/{name}" for name in figures[1]} == FIGURES
    assert figures[1]["recurrence_growth"] > 1.3
    assert figures[2]["recurrence_growth"] < 1.1
    assert figures[1]["hidden_backward_first"] > 10 * figures[2]["hidden_backward_first"]


def test_a_network_that_names_no_recurrence_or_a_short_clip_has_no_figures(clip: ValClip) -> None:
    cpu = torch.device("cpu")
    model = exploding(1)
    assert measure(model, clip, clip.frames, 4, device=cpu, precision="fp32") == {}
    model.recurrences = dict  # type: ignore[method-assign, assignment]
    assert measure(model, clip, 3, 4, device=cpu, precision="fp32") == {}


def test_a_state_of_any_size_is_read_bounded() -> None:
    for size in (1e-3, 1.0, 1e6):
        read = bounded(torch.full((1, 4, 2, 2), size))
        assert float(read.square().mean().sqrt()) <= STATE_LEAK
    assert torch.equal(bounded(torch.zeros(1, 4, 2, 2)), torch.zeros(1, 4, 2, 2))


def test_a_run_config_without_a_network_version_builds_the_old_arithmetic() -> None:
    config = {"network": "vsrpp", "scale": 4, "n_feats": 4, "n_blocks": 1}
    built = {}
    for name, version in (("old", {}), ("1", {"network_version": 1}), ("2", {"network_version": 2})):
        torch.manual_seed(0)
        model = models.build(config | version)
        torch.nn.init.normal_(model.upsampler[-1].weight)
        built[name] = model(torch.rand(1, 3, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(built["old"], built["1"])
    assert not torch.equal(built["1"], built["2"])


def test_validations_record_the_figures_and_tell_an_unstable_recurrence_once(tmp_path: Path, tiny_clip: Path) -> None:
    def spoil(run: Steered) -> None:
        run.context.state.model_ema.load_state_dict(exploding(1).state_dict())

    sets = {"n_feats": 4, "n_blocks": 1, "num_frames": 3, "network_version": 1, "max_steps": 20, "validate_every": 10,
            "scale": 4, "val_fraction": 0.5, "max_lr": 1e-5, "ema_decay": 0.99999}  # fmt: skip
    run = Steered.new(tmp_path, tiny_clip, {9: spoil, 19: spoil}, **sets)
    assert run.train() == "finished"
    validated = [event for event in run.events if event.type == "validated"]
    assert {f"val/{name}" for name in validated[0].data} >= FIGURES
    assert validated[0].data["window"] == 32
    assert [event.step for event in run.events if event.type == "recurrence_unstable"] == [10]


SMALL = {"n_feats": 4, "n_blocks": 1, "num_frames": 3, "network_version": 1, "max_steps": 30, "validate_every": 10,
         "scale": 4, "val_fraction": 0.5, "max_lr": 1e-5, "ema_decay": 0.99999, "adaptive": False}  # fmt: skip


def on_probation(run: Steered, revert_if: str) -> None:
    payload = {"changes": {"grad_clip": 0.5}, "probation": {"steps": 12, "revert_if": revert_if}}
    run.uids.append(run.inbox.put("edit", payload, origin="cli"))


@pytest.mark.parametrize(
    "revert_if", ["gain_window < -3", "recurrence_growth > 1.3", "loss > 1e9x or gain_window < -3"]
)
def test_a_recurrence_that_diverges_in_a_probation_reverts_the_edit(
    tmp_path: Path, tiny_clip: Path, revert_if: str
) -> None:
    """Known only from the validation at step 20, in the middle of the probation; the whole state comes back."""

    def spoil(run: Steered) -> None:
        if "config_reverted" not in run.types():
            model = exploding(1)
            torch.nn.init.normal_(model.upsampler[-1].weight)  # untrained, it adds nothing to bicubic
            run.context.state.model_ema.load_state_dict(model.state_dict())

    whole = Steered.new(tmp_path / "a", tiny_clip, **SMALL)
    whole.train()
    run = Steered.new(tmp_path / "b", tiny_clip, {12: lambda r: on_probation(r, revert_if), 19: spoil}, **SMALL)
    assert run.train() == "finished"
    (reverted,) = [event for event in run.events if event.type == "config_reverted"]
    metric = revert_if.rpartition(" or ")[2].split()[0]
    assert (reverted.data["from_step"], reverted.data["to_step"]) == (20, 12)
    assert reverted.data["because"]["fields"]["metric"] == metric
    assert {metric} <= reverted.data["before"].keys() & reverted.data["now"].keys()
    assert run.context.live["grad_clip"] != 0.5 and run.weights() == whole.weights()


@pytest.mark.parametrize("sets", [{}, {"validation_version": 1}], ids=["measured", "not measured"])
def test_a_condition_on_what_a_run_does_not_measure_is_said_to_be_unknown(
    tmp_path: Path, tiny_clip: Path, sets: dict[str, int]
) -> None:
    revert_if = "gain_window < -1000 or recurrence_growth > 1000"
    run = Steered.new(tmp_path, tiny_clip, {3: lambda r: on_probation(r, revert_if)}, **SMALL | sets)
    assert run.train() == "finished"
    (confirmed,) = [event for event in run.events if event.type == "config_confirmed"]
    told = messages.PROBATION_PASSED.sentence(steps=12)
    if sets:
        told = messages.PROBATION_UNKNOWN.sentence(steps=12, metrics="gain_window, recurrence_growth")
    assert (confirmed.step, confirmed.reason) == (15, told)


def test_version_1_of_validation_neither_measures_nor_tells(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, validation_version=1, num_frames=2, max_steps=10, validate_every=10)
    run.train()
    validated = next(event for event in run.events if event.type == "validated")
    assert not {"window", "gain_window", "recurrence_growth"} & validated.data.keys()


@pytest.mark.parametrize(("recorded", "kept"), [({}, 1), ({"network_version": 2}, 2)], ids=["older run", "newer run"])
def test_a_run_from_a_checkpoint_keeps_its_network_version(
    recorded: dict[str, int], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(run_configs, "checkpoint_run_config", lambda _: {"network": "vsrpp", "n_feats": 4, **recorded})
    monkeypatch.setattr(run_configs, "checkpoint_live_config", lambda _: {})
    source = run_configs.StartSource(folder=CheckpointPaths(Path("x")), lineage={})
    assert run_configs.inherited(source)["network_version"] == kept
