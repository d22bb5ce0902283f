"""`vsrpp data`, `train` and `evaluate` as typed by a person, on a small version of every layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.support.clips import piece, write_video
from tests.support.layouts import make_clips, make_pairs, make_reds, make_vid4, make_vimeo
from tests.support.processes import train_command, vsrpp
from tests.support.runs import open_in_process, train
from vsrpp.cli import main
from vsrpp.data.pack import pack
from vsrpp.inference.evaluate import bicubic_of, evaluate_path
from vsrpp.store import RunReader

MAKERS = {"reds": make_reds, "vimeo90k": make_vimeo, "vid4": make_vid4, "pairs": make_pairs, "clips": make_clips}
SMALL = {"num_frames": "5", "crop_size": "32"}


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VSRPP_CACHE", str(tmp_path / "cache"))


def _data(*words: str) -> int:
    sets = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    return main(["data", *words, *sets])


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert _data(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_look_says_kind_clips_and_samples_and_draws_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    root = MAKERS[kind](tmp_path / "set")
    seen = _json(capsys, str(root), "--sheet", "sheet.png")
    assert seen["kind"] == kind
    assert {"name", "split", "frames", "width", "height", "paired"} <= seen["clips"][0].keys()
    assert seen["samples_per_epoch"] > 0
    assert any("val" in clip["split"] for clip in seen["clips"])
    assert seen["sheet"] == str(tmp_path / "sheet.png")
    with Image.open(seen["sheet"]) as sheet:
        assert sheet.height > len(seen["clips"]) * 100
        assert np.asarray(sheet).std() > 10


def test_the_look_decodes_no_folder_of_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_reds(tmp_path / "set")
    seen = _json(capsys, str(root), "--sheet", str(tmp_path / "sheets" / "r.png"))
    assert (seen["sheet"], seen["fingerprint"]) == (str(tmp_path / "sheets" / "r.png"), None)
    assert (tmp_path / "sheets" / "r.png").is_file()
    assert not list(tmp_path.glob("cache/*/gt.bin"))


def test_the_look_at_a_large_data_set_needs_no_room_in_the_cache(tmp_path: Path) -> None:
    assert _data(str(make_clips(tmp_path / "set")), "--set", "decode_cache_gib=0.1") == 0


def test_a_config_file_with_a_block_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_reds(tmp_path / "reds")
    make_vid4(tmp_path / "vid4")
    file = tmp_path / "run.yaml"
    file.write_text("data:\n  train:\n    - {path: reds, weight: 2}\n    - path: vid4\n")
    seen = _json(capsys, str(file))
    assert seen["kind"] == "mix"
    assert [clip["name"] for clip in seen["clips"] if clip["split"] == "val"] == ["000", "011"]


def test_the_table_says_what_the_document_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _data(str(make_pairs(tmp_path / "set")), "--sheet", "sheet.png") == 0
    out = capsys.readouterr().out
    assert "pairs: 16 training windows of 5 frames" in out
    assert "given (LQ)" in out
    assert f"contact sheet of 5 of 5 clips: {tmp_path / 'sheet.png'}" in out


def test_the_look_leaves_the_folder_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, precious = make_reds(tmp_path / "set"), tmp_path / "contact_sheet.png"
    precious.write_text("precious")
    assert _json(capsys, str(root))["sheet"] is None
    assert _data(str(root), "--sheet", str(precious)) == 2
    assert "contact_sheet.png already exists" in capsys.readouterr().err
    assert precious.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["contact_sheet.png", "set"]
    assert _data(str(root), "--sheet", str(precious), "--overwrite") == 0
    assert precious.read_bytes().startswith(b"\x89PNG")


REFUSED = [
    (["pack"], "expected vsrpp data PATH, or vsrpp data pack PATH OUT"),
    (["nowhere"], "no data at"),
    (["pack", "set"], "expected vsrpp data PATH"),
    (["pack", "run.yaml", "out"], "a packed copy has one source"),
    (["set", "--sheet", "/proc/no/sheet.png"], "the contact sheet /proc/no/sheet.png cannot be written"),
]


@pytest.mark.parametrize(("words", "line"), REFUSED)
def test_a_wrong_command_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    make_clips(tmp_path / "set")
    assert _data(*words) in (2, 3)
    said = capsys.readouterr().err
    assert line in said or (words == ["pack"] and "no data at" in said)
    assert said.count("\n") == 1


def test_packed_data_is_looked_at_as_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_reds(tmp_path / "set")
    made = _json(capsys, "pack", "set", "out")
    assert (made["path"], made["kind"], made["clips"], made["frames"]) == (str(tmp_path / "out"), "reds", 5, 40)
    assert _json(capsys, "out")["clips"][0]["name"] == "001"


def test_the_look_imports_no_torch(tmp_path: Path) -> None:
    make_reds(tmp_path / "set")
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    done = vsrpp(tmp_path, "data", "set", "--json")
    assert done.returncode == 0, done.stderr


def _trained(root: Path, runs: Path, **sets: Any) -> tuple[dict[str, float], str]:
    """(validation figures, SHA-256 of the weights) after a few steps in this process, with everything recorded."""
    prepared, context = open_in_process(runs, root, scale=4, num_frames=5, max_steps=4, **sets)
    assert train(context) == "finished"
    with RunReader(prepared.paths.run_db) as reader:
        saved, validated = reader.last_event("checkpoint_saved"), reader.last_event("validated")
    assert saved is not None
    assert validated is not None
    assert saved.step == validated.step == 4
    return validated.data, saved.data["files"]["model.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_a_few_steps_train_and_evaluate_on_every_layout(tmp_path: Path, kind: str) -> None:
    root = MAKERS[kind](tmp_path / "set")
    validated, _ = _trained(root, tmp_path / "runs")
    clips, frames = {"reds": (2, {8}), "vimeo90k": (2, {1}), "vid4": (4, {5}), "pairs": (1, {8})}.get(kind, (1, {8}))
    assert (len(validated["clips"]), {clip["frames"] for clip in validated["clips"]}) == (clips, frames)
    scored = evaluate_path(str(root), bicubic_of(4), 4)
    clips, frames = {"reds": (2, {8}), "vimeo90k": (2, {1}), "vid4": (4, {14, 15, 16, 17})}.get(kind, (5, {8}))
    assert (len(scored["clips"]), {clip["frames"] for clip in scored["clips"]}) == (clips, frames)


@pytest.mark.slow
def test_a_run_on_originals_and_one_on_the_packed_copy_end_with_the_same_weights(tmp_path: Path) -> None:
    root = make_reds(tmp_path / "set")
    pack(str(root), tmp_path / "packed", scale=4)
    ends = [
        _trained(data, tmp_path / "runs", seed=3, reading=reading)[1]
        for data, reading in ((root, "originals"), (root, "cache"), (tmp_path / "packed", "cache"))
    ]
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_mix_with_every_degradation_trains_and_replays_bit_for_bit(tmp_path: Path) -> None:
    for kind, make in MAKERS.items():
        make(tmp_path / kind)
    pack(str(tmp_path / "clips"), tmp_path / "packed", scale=4)
    (tmp_path / "run.yaml").write_text(
        "data:\n  train:\n    - {path: reds, weight: 2}\n    - {path: vimeo90k, degradation: realistic}\n"
        "    - {path: pairs/GT, lq: pairs/LQ}\n    - {path: packed}\n    - {path: sample, degradation: bd, weight: 0.5}\n"
        "  val:\n    - {path: vid4, degradation: bd, max_clips: 2}\n"
    )
    words = train_command("-", scale=4, num_frames=5, max_steps=4, num_workers=1)
    words[words.index("--data") : words.index("--data") + 2] = ["--config", "run.yaml"]
    done = vsrpp(tmp_path, *words, timeout_s=600)
    assert done.returncode == 0, done.stderr + done.stdout
    status = json.loads(vsrpp(tmp_path, "status", "latest", "--json").stdout)
    run_config = yaml.safe_load((Path(status["run_dir"]) / "run_config.yaml").read_text())
    assert run_config["data"]["train"][0] == {"path": str(tmp_path / "reds"), "weight": 2}
    replayed = json.loads(vsrpp(tmp_path, "replay", "latest", "--json", timeout_s=600).stdout)
    assert replayed["identical"]


@pytest.mark.slow
def test_a_block_with_a_mistake_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("data:\n  train:\n    - {path: sample, weigth: 2}\n")
    done = vsrpp(tmp_path, "train", "--config", "run.yaml", "--no-panel", "--no-tensorboard")
    assert done.returncode == 2
    assert "data.train[0].weigth = 2 refused: unknown; did you mean weight?" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", ["clips", "pairs", "vimeo90k"])
def test_read_all_lists_every_unreadable_file_of_frames_small_frames_and_validation_clips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    root = MAKERS[kind](tmp_path / "set")
    assert _json(capsys, str(root), "--read-all")["read"]["unreadable"] == []
    files = sorted(root.rglob("*.png"))
    damaged = [files[1], files[-1]]
    for file in damaged:
        file.write_bytes(file.read_bytes()[:-30])
    assert _data(str(root), "--read-all") == 2
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 2
    assert all(str(file) in shown.out for file in damaged)
    assert shown.err.count("\n") == 1
    assert _data(str(root), "--read-all", "--json") == 2
    read = json.loads(capsys.readouterr().out)["read"]
    assert {problem["file"] for problem in read["unreadable"]} == {str(file) for file in damaged}
    assert read["frames"] == len(files) - 2


def test_read_all_names_a_video_that_cannot_be_decoded_and_a_packed_clip_that_was_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    for name in ("a", "b"):
        write_video(videos / f"{name}.mkv", piece(20))
    assert _data("pack", str(videos), str(tmp_path / "packed")) == 0
    (videos / "b.mkv").write_bytes(b"no video")
    assert _data(str(videos), "--read-all") == 2
    assert str(videos / "b.mkv") in capsys.readouterr().out
    changed = next((tmp_path / "packed").rglob("gt.bin"))
    changed.write_bytes(bytes(changed.stat().st_size))
    assert _data(str(tmp_path / "packed"), "--read-all") == 2
    assert str(changed) in capsys.readouterr().out
