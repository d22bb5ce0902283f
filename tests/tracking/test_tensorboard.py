"""TensorBoard's files, read back with TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import extras
from tests.support.made_runs import LIVE, RUN_CONFIG, MadeRun, made_run
from vsrpp.store import Marks, RunReader
from vsrpp.tracking.tensorboard_sink import TensorBoard, rebuild
from vsrpp.tracking.tensorboard_tags import percent_tags

SCALARS = {
    "Config/Parameters/plateau_patience", "Config/Parameters/max_lr", "Config/Parameters/cooldown_duration",
    "Progress/Step_Percent", "Plateau/Counter", "Plateau/EMA_Loss", "Plateau/Best_Quality", "Plateau/Progress_Percent",
    "Weights/Distribution/L1_percent", "Weights/Distribution/MS_percent", "Weights/Distribution/Grad_percent",
    "Weights/Distribution/Perceptual_percent", "Weights/Sum", "Events/Config_Change", "Events/Validation_Run",
    "loss/total", "loss/l1", "loss/ms", "loss/grad", "lr", "val/psnr_y", "val/quality", "Activity/backward.0",
}  # fmt: skip
TEXTS = {"Config/Changes", "Config/Initial_Configuration", "Events/Validation", "Events/Timeline"}


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sizes = {"scalars": 0, "tensors": 0, "images": 0, "histograms": 0}
    return EventAccumulator(str(folder), size_guidance=sizes).Reload()


def deliver(run: MadeRun, *, close: bool = True) -> None:
    with RunReader(run.paths.run_db) as reader:
        marks = Marks(run.paths.delivery_db)
        board = TensorBoard(run.paths, reader, marks)
        while board.work(hurry=True):
            pass
        assert board.pending() == 0
        if close:
            board.close()
        marks.close()


@pytest.fixture
def run(runs: Path) -> MadeRun:
    return made_run(runs)


def texts(events: Any, tag: str) -> list[str]:
    return [point.tensor_proto.string_val[0].decode() for point in events.Tensors(tag)]


def test_every_tag_of_the_brief_by_its_exact_name(run: MadeRun) -> None:
    deliver(run)
    events = read(run.paths.tensorboard)
    tags = events.Tags()
    assert set(tags["scalars"]) >= SCALARS
    assert set(tags["tensors"]) >= TEXTS
    assert "Weights/Distribution" in tags["histograms"]
    assert tags["images"] == ["Images/bikes"]
    assert {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"} <= set(
        events.summary_metadata
    )


def test_a_foreign_loss_term_has_its_label_in_its_tag(runs: Path) -> None:
    run = MadeRun(runs / "extras", "extras").start(run_config={**RUN_CONFIG, **extras.STARTUP})
    run.writer.record(10, 0, {"weight/l1": 0.6, "weight/fft": 0.3, "weight/edge": 0.1, "loss/fft": 0.5}, at=run.tick())
    deliver(run)
    events = read(run.paths.tensorboard)
    assert {"Weights/Distribution/FFT_percent", "Weights/Distribution/Edges__b___percent", "loss/fft"} <= set(
        events.Tags()["scalars"]
    )
    assert f"| loss/fft | FFT, {extras.FFT} |" in texts(events, "Config/Initial_Configuration")[0]
    run.writer.record(20, 0, {"weight/fft": 1.0}, at=run.tick())
    deliver(run)
    points = read(run.paths.tensorboard).Scalars("Weights/Distribution/FFT_percent")
    assert [round(point.value) for point in points] == [30, 100], "a later session knows the labels too"


def test_two_terms_of_one_label_have_tags_of_their_own() -> None:
    same = {"plugins": [extras.plugin(extras.loss("l1b", "L1", "#000000"))]}
    found = percent_tags(same)
    assert found["l1"] == "Weights/Distribution/L1_percent" and found["l1b"] == "Weights/Distribution/L1_l1b_percent"


def test_progress_is_measured_against_the_steps_asked_for_at_the_time(runs: Path) -> None:
    run = MadeRun(runs / "progress1", "progress1").start().train(100).edit("max_steps", 1000).train(50)
    run.writer.record(160, 0, {"loss/total": 0.1, "speed/steps_per_s": 2.0, "speed/frames_per_s": 30.0}, at=run.tick())
    deliver(run)
    run.step = 160
    run.train(10).end()
    deliver(run)
    events = read(run.paths.tensorboard)
    percent = {point.step: point.value for point in events.Scalars("Progress/Step_Percent")}
    assert (percent[100], percent[110], percent[170]) == (25.0, pytest.approx(11.0), pytest.approx(17.0))
    assert [(p.step, p.value) for p in events.Scalars("Progress/Remaining_s")] == [(160, 420.0)]
    assert [p.value for p in events.Scalars("Progress/Steps_per_s")] == [2.0]
    assert [p.value for p in events.Scalars("Progress/Frames_per_s")] == [30.0]


def test_hparams_hold_every_parameter_and_name_the_results(run: MadeRun) -> None:
    from tensorboard.plugins.hparams import plugin_data_pb2

    deliver(run)
    metadata = read(run.paths.tensorboard).summary_metadata
    start = plugin_data_pb2.HParamsPluginData.FromString(
        metadata["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info
    assert {"n_feats", "max_lr", "plateau_patience", "network"} <= set(start.hparams)
    experiment = plugin_data_pb2.HParamsPluginData.FromString(
        metadata["_hparams_/experiment"].plugin_data.content
    ).experiment
    assert {info.name.tag for info in experiment.metric_infos} >= {"val/psnr_y", "loss/total"}


def test_the_histogram_of_weights_holds_each_of_them_at_every_step(run: MadeRun) -> None:
    deliver(run)
    points = read(run.paths.tensorboard).Histograms("Weights/Distribution")
    assert [point.step for point in points] == list(range(10, 210, 10))
    assert (points[0].histogram_value.num, points[0].histogram_value.sum) == (4, pytest.approx(1.0))


@pytest.mark.slow
def test_the_command_rebuilds_the_files_of_a_run_and_serves_them(run: MadeRun) -> None:
    import shutil
    import subprocess
    import sys
    import urllib.request

    from tests.support.waiting import free_port, wait_until

    shutil.rmtree(run.paths.tensorboard, ignore_errors=True)
    command = [sys.executable, "-m", "vsrpp", "tensorboard", str(run.root), "--port", str(free_port())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "Rebuilding" in process.stdout.readline()
        address = process.stdout.readline().split()[1]

        def tags() -> bytes:
            try:
                with urllib.request.urlopen(f"{address}/data/plugin/scalars/tags", timeout=5) as answer:
                    return bytes(answer.read())
            except OSError:
                return b""

        assert wait_until(lambda: b"Config/Parameters/max_lr" in tags(), 120, "TensorBoard shows the rebuilt run")
    finally:
        process.kill()
        process.wait()


def test_values_and_steps_are_the_records(run: MadeRun) -> None:
    deliver(run)
    events = read(run.paths.tensorboard)
    with RunReader(run.paths.run_db) as reader:
        wanted = [(row.step, pytest.approx(row.value)) for row in reader.series("loss/total")]
    assert [(point.step, point.value) for point in events.Scalars("loss/total")] == wanted
    first = events.Scalars("Weights/Distribution/L1_percent")[0]
    assert (first.step, first.value) == (10, pytest.approx(60))
    assert [p.value for p in events.Scalars("Weights/Sum")] == pytest.approx([1.0] * 20)
    assert [(p.step, p.value) for p in events.Scalars("Config/Parameters/max_lr")] == [
        (0, pytest.approx(LIVE["max_lr"])),
        (100, pytest.approx(2e-4)),
    ]
    assert [p.step for p in events.Scalars("Events/Config_Change")] == [100, 200]
    assert [p.step for p in events.Scalars("Events/Validation_Run")] == [100, 200]
    assert texts(events, "Config/Changes")[0] == "Step 100: max_lr 1.50e-04 → 2.00e-04 by anna (because)"
    assert len(texts(events, "Events/Timeline")) == 8
    assert [(p.step, p.width, p.height) for p in events.Images("Images/bikes")] == [(100, 24, 8), (200, 24, 8)]


def test_a_later_session_goes_on_without_a_second_point(runs: Path) -> None:
    run = made_run(runs, ended=False)
    deliver(run)
    run.train(100).end()
    deliver(run)
    deliver(run)
    events = read(run.paths.tensorboard)
    assert [point.step for point in events.Scalars("loss/total")] == list(range(10, 310, 10))
    assert len(list(run.paths.tensorboard.iterdir())) == 2


def test_after_a_session_that_was_killed_everything_is_written_anew(runs: Path) -> None:
    run = made_run(runs, ended=False)
    deliver(run, close=False)
    Marks(run.paths.delivery_db).close()
    run.train(100).end()
    deliver(run)
    events = read(run.paths.tensorboard)
    assert [point.step for point in events.Scalars("loss/total")] == list(range(10, 310, 10))
    assert len(list(run.paths.tensorboard.iterdir())) == 1


def test_an_abandoned_branch_is_purged(runs: Path) -> None:
    run = made_run(runs, ended=False)
    run.rollback(100)
    run.writer.record(200, 0, {"events/checkpoint": 1.0}, at=run.tick())  # a save that completed after the rollback
    run.train(50).end()
    deliver(run)
    events = read(run.paths.tensorboard)
    assert [point.step for point in events.Scalars("loss/total")] == list(range(10, 160, 10))
    assert [point.step for point in events.Scalars("Events/Validation_Run")] == [100]
    assert "Events/Checkpoint" not in events.Tags()["scalars"]


def test_rebuild_gives_the_same_points(run: MadeRun) -> None:
    deliver(run)
    before = read(run.paths.tensorboard)
    folder = rebuild(run.paths.root)
    after = read(folder)
    assert after.Tags() == before.Tags()
    for tag in before.Tags()["scalars"]:
        assert repr(after.Scalars(tag)) == repr(before.Scalars(tag))


def test_a_batch_never_ends_within_a_step(run: MadeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    import vsrpp.tracking.tensorboard_sink as sink

    monkeypatch.setattr(sink, "ROWS_PER_BATCH", 25)
    deliver(run)
    events = read(run.paths.tensorboard)
    assert [p.value for p in events.Scalars("Weights/Sum")] == pytest.approx([1.0] * 20)
    assert len(texts(events, "Events/Timeline")) == 8
