"""A damaged checkpoint ends in one line, in every way of loading it, before anything is written.

Where a damage lies in a file, the manifest is made to match it: the hash alone must not be what keeps it out.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.support.runs import Steered, configs
from tests.support.waiting import wait_until
from vsrpp.checkpoints import messages
from vsrpp.cli import main
from vsrpp.errors import VsrppError
from vsrpp.inference.evaluate import load_network
from vsrpp.launch.request import RankCommand, TrainRequest
from vsrpp.launch.run_configs import StartSource, resolve
from vsrpp.paths import CheckpointPaths
from vsrpp.tracking.restore import verify
from vsrpp.training.start import prepare_new

Damage = Callable[[CheckpointPaths], Any]


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch PWNED",)


def state(change: Callable[[dict[str, Any]], Any]) -> Damage:
    """The training state after `change`, which may return another object to save."""

    def damage(folder: CheckpointPaths) -> None:
        saved = torch.load(folder.training_state, weights_only=True)
        changed = change(saved)
        torch.save(saved if changed is None else changed, folder.training_state)

    return damage


def weights(name: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    def damage(folder: CheckpointPaths) -> None:
        tensors = safetensors.torch.load_file(folder.root / name)
        change(tensors)
        safetensors.torch.save_file(tensors, folder.root / name)

    return damage


def content(name: str, data: bytes | Callable[[bytes], bytes]) -> Damage:
    def damage(folder: CheckpointPaths) -> None:
        path = folder.root / name
        path.write_bytes(data(path.read_bytes()) if callable(data) else data)

    return damage


def manifest(change: Callable[[dict[str, Any]], Any]) -> Damage:
    def damage(folder: CheckpointPaths) -> None:
        values = json.loads(folder.manifest.read_text())
        changed = change(values)
        folder.manifest.write_text(json.dumps(values if changed is None else changed))

    return damage


def bomb(folder: CheckpointPaths) -> None:
    inflated = io.BytesIO()
    with zipfile.ZipFile(folder.training_state) as old, zipfile.ZipFile(inflated, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry) + bytes(1000 if "/data/" in entry.filename else 0))
    folder.training_state.write_bytes(inflated.getvalue())


def first(tensors: dict[str, torch.Tensor]) -> str:
    return sorted(key for key in tensors if tensors[key].dim() > 1)[0]


def reshape(tensors: dict[str, torch.Tensor]) -> None:
    tensors[first(tensors)] = torch.zeros(3)


def not_a_number(tensors: dict[str, torch.Tensor]) -> None:
    tensors[first(tensors)].view(-1)[0] = float("nan")


STATE, MODEL, EMA = "training_state.pt", "model.safetensors", "model_ema.safetensors"
LIVE, RUN = "runtime_config.json", "run_config.yaml"
IN_FILES: dict[str, Damage] = {
    "state empty": content(STATE, b""),
    "state noise": content(STATE, b"\x80\x04garbage" * 50),
    "state cut off": content(STATE, lambda data: data[: len(data) // 2]),
    "state runs code": content(STATE, pickle.dumps(Attack())),
    "state runs code, in torch's format": state(lambda saved: {**saved, "step": Attack()}),
    "state inflates": bomb,
    "state is a list": state(lambda saved: [saved]),
    "state is a tensor": state(lambda saved: torch.zeros(3)),
    "state without optimizer": state(lambda saved: {**saved, "optimizer": None}),
    "state with an odd optimizer": state(lambda saved: {**saved, "optimizer": {"state": 3}}),
    "state without controller": state(lambda saved: {**saved, "controller": {}}),
    "state without random": state(lambda saved: {**saved, "random": {"torch": 1}}),
    "state without recent": state(lambda saved: saved.pop("recent") and None),
    "state of another step": state(lambda saved: {**saved, "step": 7}),
    "state with a text for a step": state(lambda saved: {**saved, "step": "ten"}),
    "model cut off": content(MODEL, lambda data: data[:-100]),
    "model noise": content(MODEL, b"noise" * 100),
    "model empty": content(MODEL, b""),
    "model of another shape": weights(MODEL, reshape),
    "model without a key": weights(MODEL, lambda tensors: tensors.pop(first(tensors))),
    "model with a key more": weights(MODEL, lambda tensors: tensors.update(more=torch.zeros(1))),
    "ema of another shape": weights(EMA, reshape),
    "ema noise": content(EMA, b"\xff" * 500),
    "model not finite": weights(MODEL, not_a_number),
    "live config a list": content(LIVE, b"[1, 2]"),
    "live config not JSON": content(LIVE, b"{"),
    "live config not UTF-8": content(LIVE, b'{"max_lr": "\xff"}'),
    "live config deep": content(LIVE, b"[" * 100_000),
    "run config a list": content(RUN, b"- 1\n- 2\n"),
    "run config with a tag": content(RUN, b"a: !!python/object/apply:os.system ['touch PWNED']\n"),
    "run config not UTF-8": content(RUN, b"name: \xff\xfe\n"),
    "run config empty": content(RUN, b""),
    "run config not YAML": content(RUN, b"a: [\n"),
    "run config large": content(RUN, b"a: b\n#" + b"x" * (17 * 2**20)),
}
IN_MANIFEST: dict[str, Damage] = {
    "a list": manifest(lambda values: [values]),
    "without run_id": manifest(lambda values: values.pop("run_id") and None),
    "with a number for run_id": manifest(lambda values: {**values, "run_id": 3}),
    "without a step": manifest(lambda values: {**values, "step": None}),
    "with a text for a step": manifest(lambda values: {**values, "step": "10"}),
    "naming no file": manifest(lambda values: {**values, "files": {}}),
    "without files": manifest(lambda values: values.pop("files") and None),
    "without the training state": manifest(lambda values: values["files"].pop(STATE) and None),
    "with a null entry": manifest(lambda values: {**values, "files": {**values["files"], STATE: None}}),
    "with a file elsewhere": manifest(
        lambda values: {**values, "files": {**values["files"], "../../x": values["files"][STATE]}}
    ),
    "with an odd chain": manifest(lambda values: {**values, "chain": {"seq": "x"}}),
    "noise": content("manifest.json", b"\xff\xfe{"),
    "empty": content("manifest.json", b""),
    "deep": content("manifest.json", b"[" * 100_000),
    "whose file is gone": lambda folder: folder.model.unlink(),
    "whose file was changed": content(MODEL, lambda data: data + b"x"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> Path:
    run = Steered.new(tmp_path_factory.mktemp("whole"), tiny_clip, max_steps=10)
    assert run.train() == "finished"
    return run.paths.checkpoint(10).root


@pytest.fixture
def folder(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckpointPaths:
    monkeypatch.chdir(tmp_path)
    return CheckpointPaths(Path(shutil.copytree(whole, tmp_path / "damaged")))


def match(folder: CheckpointPaths) -> None:
    """Make the manifest's hashes those of the files."""
    values = json.loads(folder.manifest.read_text())
    for name, about in values["files"].items():
        about["sha256"] = hashlib.sha256((folder.root / name).read_bytes()).hexdigest()
    folder.manifest.write_text(json.dumps(values))


def start_from(folder: CheckpointPaths, data: Path) -> None:
    """As `vsrpp train --from FOLDER` does, up to the first step."""
    runs = folder.root.parent / "runs"
    rank = RankCommand(module="", arguments=())
    request = TrainRequest(rank_command=rank, source=str(folder.root), data=str(data), max_steps=20)
    run_config, live = resolve(request, StartSource.of(str(folder.root), runs))
    prepared = prepare_new(
        run_config, live, runs=runs, run_id=lambda: None, say=lambda _: None, parent=folder
    )  # fmt: skip
    prepared.writer.close()


def one_line(error: VsrppError) -> None:
    assert "\n" not in str(error) and "weights_only" not in str(error) and len(str(error)) < 700
    assert not Path("PWNED").exists()


@pytest.mark.parametrize("name", IN_FILES)
def test_a_run_from_damaged_files_is_refused_before_there_is_a_folder(
    name: str, folder: CheckpointPaths, tiny_clip: Path
) -> None:
    IN_FILES[name](folder)
    match(folder)
    with pytest.raises(VsrppError) as refused:
        start_from(folder, tiny_clip)
    one_line(refused.value)
    runs = folder.root.parent / "runs"
    assert not runs.exists() or list(runs.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in IN_FILES if name.startswith(("ema", "run config"))])
def test_a_network_with_damaged_files_is_not_used(name: str, folder: CheckpointPaths) -> None:
    IN_FILES[name](folder)
    match(folder)
    with pytest.raises(VsrppError) as refused:
        load_network(folder)
    one_line(refused.value)


@pytest.mark.parametrize("name", IN_MANIFEST)
def test_a_damaged_manifest_is_refused_by_training_scoring_and_restoring(
    name: str, folder: CheckpointPaths, tiny_clip: Path
) -> None:
    IN_MANIFEST[name](folder)
    uses: list[Callable[[], Any]] = [lambda: start_from(folder, tiny_clip), lambda: load_network(folder)]
    if name not in ("without run_id", "with a number for run_id"):
        uses.append(lambda: verify(folder.root))
    for use in uses:
        with pytest.raises(VsrppError) as refused:
            use()
        one_line(refused.value)
    assert not (folder.root.parent / "runs").exists()


def test_a_whole_checkpoint_is_taken_everywhere(folder: CheckpointPaths, tiny_clip: Path) -> None:
    match(folder)
    load_network(folder)
    verify(folder.root)
    start_from(folder, tiny_clip)
    assert len(list((folder.root.parent / "runs").iterdir())) == 1


def test_not_finite_weights_are_named(folder: CheckpointPaths, tiny_clip: Path) -> None:
    IN_FILES["model not finite"](folder)
    match(folder)
    with pytest.raises(VsrppError) as refused:
        start_from(folder, tiny_clip)
    assert refused.value.reason_code == messages.NOT_FINITE.code
    assert refused.value.fields["tensor"] in safetensors.torch.load_file(folder.model)


def test_a_resume_uses_the_checkpoint_before_a_damaged_one(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=30, checkpoint_every=10)
    run.die_at(25)
    newest = run.paths.checkpoint(20)
    IN_FILES["state without controller"](newest)
    match(newest)
    again = Steered.resumed(run.paths)
    assert again.context.state.step == 10
    again.abandon()


def test_a_rollback_to_a_damaged_checkpoint_is_refused_and_training_goes_on(tmp_path: Path, tiny_clip: Path) -> None:
    def damage(run: Steered) -> None:
        wait_until(run.paths.checkpoint(10).manifest.exists, what="checkpoint 10")
        IN_FILES["state without controller"](run.paths.checkpoint(10))
        match(run.paths.checkpoint(10))
        run.ask("rollback", step=10)

    run = Steered.new(tmp_path, tiny_clip, {14: damage}, max_steps=16)
    assert run.train() == "finished"
    assert run.answer().status == "refused"
    assert run.answer().reason_code == messages.NOT_RESTORED.code


def test_the_random_state_is_untouched_by_the_trial(folder: CheckpointPaths, tiny_clip: Path) -> None:
    from vsrpp.checkpoints.files import load_checkpoint
    from vsrpp.training.state import check_restores

    torch.manual_seed(7)
    before = torch.get_rng_state()
    check_restores(load_checkpoint(folder)[0], configs(tiny_clip)[0], folder)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["naming no file", "run config a list"])
@pytest.mark.parametrize("words", [["train", "--from"], ["evaluate"], ["upscale"]])
def test_the_command_line_says_it_in_one_line(
    name: str, words: list[str], folder: CheckpointPaths, tiny_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ({**IN_FILES, **IN_MANIFEST}[name])(folder)
    if name in IN_FILES:
        match(folder)
    data = [str(tiny_clip), "out.mkv"] if words == ["upscale"] else ["--data", str(tiny_clip)]
    assert main([*words, str(folder.root), *data]) in (2, 6)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("vsrpp: ")
