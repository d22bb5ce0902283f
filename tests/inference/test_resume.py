"""An upscaling that ends early keeps finished segments; a resume gives what an undisturbed one gives."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from torch import Tensor

from tests.inference.test_upscale import STAMPS, Nearest, film, sound_of
from tests.support.clips import piece, tiny_clip, write_frames, write_video
from tests.support.processes import TrainingProcess, vsrpp
from tests.support.reasons import raises
from tests.support.waiting import wait_until
from vsrpp.errors import Refused, VsrppError
from vsrpp.inference import messages, segments
from vsrpp.inference.chunks import StreamBounds
from vsrpp.inference.part import part_of
from vsrpp.inference.upscale import UpscaleEars, UpscaleOptions, upscale
from vsrpp.media.encoder import FrameEncoder
from vsrpp.media.encoding_plan import plan_encoding
from vsrpp.media.video_reader import OpenClip

BOUNDS = StreamBounds(chunk_frames=4, overlap=2, tile=0)
SEGMENT = 8


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_FRAMES", SEGMENT)


class Recurrent(Nearest):
    """Adds the mean of the whole window to each frame, so that the output shows which frames were read together."""

    def __init__(self, ends_at: int = -1, error: BaseException | None = None) -> None:
        super().__init__()
        self.calls, self.ends_at, self.error = 0, ends_at, error

    def forward(self, lr: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.ends_at and self.error is not None:
            raise self.error
        return super().forward(0.9 * lr + 0.1 * lr.mean())


def run(source: Path, target: Path, model: Recurrent | None = None, **options: object) -> dict[str, object]:
    kept: list[int] = []
    asked = UpscaleOptions(**{"bounds": BOUNDS, **options})
    ears = UpscaleEars(on_kept=kept.append)
    try:
        return upscale(
            model or Recurrent(), str(source), str(target), asked, device=torch.device("cpu"), ears=ears
        )  # fmt: skip
    finally:
        run.kept = kept  # type: ignore[attr-defined]


def content(target: Path) -> dict[str, bytes]:
    files = [target] if target.is_file() else sorted(target.iterdir())
    return {file.name if target.is_dir() else "": file.read_bytes() for file in files}


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames with uneven stamps and sound."""
    stamps = [number * 40 + STAMPS[number % 9] % 30 for number in range(30)]
    return film(tmp_path_factory.mktemp("clip") / "in.mkv", piece(30, 48, 64), stamps)


OUTPUTS = {"ffv1.mkv": "ffv1", "h264.mp4": "h264", "h264.mkv": "h264", "frames": None}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("ends_at", [4, 6, 8])
def test_a_resume_gives_the_bytes_of_an_undisturbed_run(name: str, ends_at: int, clip: Path, tmp_path: Path) -> None:
    codec = OUTPUTS[name]
    whole, target = tmp_path / "whole" / name, tmp_path / "cut" / name
    run(clip, whole, codec=codec)
    with pytest.raises(KeyboardInterrupt):
        run(clip, target, Recurrent(ends_at, KeyboardInterrupt()), codec=codec)
    assert not target.exists()
    frames = {4: 8, 6: 16, 8: 24}[ends_at]
    assert run.kept in ([frames], [frames - SEGMENT], [])  # type: ignore[attr-defined]  # as far as the writer was
    model = Recurrent()
    done = run(clip, target, model, codec=codec, resume=True)
    assert done["frames"] == 30
    assert content(target) == content(whole)
    assert not hidden(target.parent)
    if done["resumed_at"]:
        assert model.calls < 8
    if name.endswith(".mkv"):
        assert sound_of(target) == sound_of(clip)


def test_segments_are_joined_with_rising_decoding_times_and_the_inputs_stamps(clip: Path, tmp_path: Path) -> None:
    run(clip, tmp_path / "out.mkv", codec="h264")
    with av.open(str(clip)) as before, av.open(str(tmp_path / "out.mkv")) as after:
        wanted = [frame.time for frame in before.decode(video=0)]
        made = [frame.time for frame in after.decode(video=0)]
    assert [round(time - made[0], 3) for time in made] == [round(time - wanted[0], 3) for time in wanted]
    with av.open(str(tmp_path / "out.mkv")) as container:
        times = [packet.dts for packet in container.demux(video=0) if packet.dts is not None]
    assert times == sorted(set(times))
    with av.open(str(tmp_path / "out.mkv")) as container:
        keys = [number for number, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert keys == [0, 8, 16, 24]


def test_h264_gives_the_same_bytes_whatever_was_encoded_before(tmp_path: Path) -> None:
    """x264's mb-tree in AVX-512 reads memory that was never set; `cpu-independent` takes the one in C."""
    plan = plan_encoding(tmp_path / "x.mp4", OpenClip(48, 32, iter(()), 48), (96, 64), codec="h264", rate=Fraction(25))

    def encoded(start: int) -> bytes:
        encoder = FrameEncoder(plan)
        frames = piece(48, 64, 96, start)
        packets = [packet for number, frame in enumerate(frames) for packet in encoder.encode(frame, (number, 0))]
        return b"".join(bytes(packet) for packet in (*packets, *encoder.flush()))

    first = encoded(0)
    for other in (50, 100, 150, 200):
        encoded(other)
        assert encoded(0) == first


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_full_disk_costs_no_finished_segment(share: float, clip: Path, tmp_path: Path) -> None:
    whole, target = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    run(clip, whole, codec="ffv1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(whole.stat().st_size * share), limits[1]))
    try:
        with raises(messages.NOT_WRITTEN):
            run(clip, target, codec="ffv1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run.kept == [30]  # type: ignore[attr-defined]  # every segment fits; the joined file does not
    model = Recurrent()
    run(clip, target, model, codec="ffv1", resume=True)
    assert content(target) == content(whole)
    assert model.calls <= 1


@pytest.mark.parametrize(("name", "codec"), [("out.mp4", "hevc"), ("out.webm", "vp9"), ("out.mkv", "av1")])
def test_segments_of_other_codecs_are_one_film(name: str, codec: str, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / name
    with pytest.raises(KeyboardInterrupt):
        run(clip, target, Recurrent(6, KeyboardInterrupt()), codec=codec, audio=False)
    run(clip, target, codec=codec, audio=False, resume=True)
    run(clip, tmp_path / f"whole{target.suffix}", codec=codec, audio=False)
    with av.open(str(target)) as made, av.open(str(tmp_path / f"whole{target.suffix}")) as whole:
        for one, other in zip(made.decode(video=0), whole.decode(video=0), strict=True):
            assert one.time == other.time
            assert abs(one.to_ndarray(format="gray").mean() - other.to_ndarray(format="gray").mean()) < 0.5


def test_a_damaged_input_that_was_refused_can_be_resumed_without_strict(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    write_video(source, piece(30, 48, 64), codec="libx264")
    data = bytearray(source.read_bytes())
    middle = len(data) * 7 // 10
    data[middle : middle + 300] = bytes(300)
    source.write_bytes(data)
    run(source, tmp_path / "whole.mkv", codec="ffv1")
    with pytest.raises(Refused):
        run(source, tmp_path / "cut.mkv", codec="ffv1", strict=True)
    run(source, tmp_path / "cut.mkv", codec="ffv1", resume=True)
    assert content(tmp_path / "cut.mkv") == content(tmp_path / "whole.mkv")


@pytest.fixture
def unfinished(clip: Path, tmp_path: Path) -> Path:
    """An output with two finished segments."""
    target = tmp_path / "out.mkv"

    def ends(progress: object) -> None:
        part = next(iter(hidden(tmp_path)), None)
        if part is not None and (part / f"{SEGMENT:08d}.json").is_file():
            raise KeyboardInterrupt

    ears = UpscaleEars(on_progress=ends)
    with pytest.raises(KeyboardInterrupt):
        upscale(
            Recurrent(), str(clip), str(target), UpscaleOptions(bounds=BOUNDS, crf=20), device=torch.device("cpu"), ears=ears
        )  # fmt: skip
    return target


def test_another_job_is_refused_saying_what_differs(clip: Path, unfinished: Path, tmp_path: Path) -> None:
    other_clip = shutil.copy(clip, tmp_path / "in.mkv")
    os.truncate(other_clip, clip.stat().st_size - 1)

    class Other(Recurrent):
        def facts(self) -> dict[str, object]:
            return {"version": 2}

    for source, model, options, differs in [
        (clip, Recurrent(), {"crf": 21}, "crf was 20, not 21"),
        (clip, Recurrent(), {"crf": 20, "bounds": StreamBounds(chunk_frames=4, overlap=2, tile=40, tile_overlap=8)},
         "tile was 0, not 40, tile_overlap was 32, not 8"),
        (Path(other_clip), Recurrent(), {"crf": 20}, "another input"),
        (clip, Other(), {"crf": 20}, "another checkpoint"),
    ]:  # fmt: skip
        with raises(messages.ANOTHER_JOB) as refused:
            run(source, unfinished, model, resume=True, **options)
        assert differs in str(refused.value)
        assert "\n" not in str(refused.value)
    assert run(clip, unfinished, crf=20, resume=True)["resumed_at"] >= 2 * SEGMENT


def test_finished_segments_are_not_discarded_unasked(clip: Path, unfinished: Path) -> None:
    with raises(messages.UNFINISHED):
        run(clip, unfinished, crf=20)
    assert run(clip, unfinished, crf=21, overwrite=True)["resumed_at"] == 0
    assert not hidden(unfinished.parent)


def test_an_output_that_another_process_works_on_is_refused(clip: Path, unfinished: Path) -> None:
    with part_of(unfinished, {"any": 1}, resume=False, discard=True):
        with raises(messages.AT_WORK):
            run(clip, unfinished, crf=20, resume=True)
        with raises(messages.AT_WORK):
            run(clip, unfinished, crf=20, overwrite=True)


def test_a_part_without_a_finished_segment_is_removed(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    with part_of(target, {"any": 1}, resume=False, discard=False) as part:
        left = tmp_path / "left"
        shutil.copytree(part.folder, left)
    assert not hidden(tmp_path)
    left.rename(part.folder)  # as after a kill
    run(clip, target)
    assert not hidden(tmp_path)


def test_what_earlier_versions_left_is_removed_once_their_process_has_ended(clip: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.999999999.part.mkv").write_bytes(b"left")
    (tmp_path / f".out.{os.getpid()}.part.mkv").write_bytes(b"at work")
    run(clip, tmp_path / "out.mkv")
    assert [path.name for path in hidden(tmp_path)] == [f".out.{os.getpid()}.part.mkv"]


def test_a_resume_without_a_part_starts_at_the_beginning(clip: Path, tmp_path: Path) -> None:
    assert run(clip, tmp_path / "out.mkv", resume=True)["resumed_at"] == 0


def test_running_out_of_memory_is_told_with_what_would_fit(clip: Path, tmp_path: Path) -> None:
    allocator = RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")
    for error in (MemoryError(), allocator):
        with raises(messages.OUT_OF_MEMORY) as told:
            run(clip, tmp_path / "out.mkv", Recurrent(2, error))
        assert "--tile " in str(told.value)
        assert "--chunk " in str(told.value)
    with pytest.raises(RuntimeError, match="else"):
        run(clip, tmp_path / "out.mkv", Recurrent(2, RuntimeError("something else")))


def test_frames_of_a_folder_can_be_resumed_as_a_video(tmp_path: Path) -> None:
    source = write_frames(tmp_path / "in", piece(20, 32, 48))
    run(source, tmp_path / "whole.mkv", codec="ffv1", fps=Fraction(25))
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "cut.mkv", Recurrent(5, KeyboardInterrupt()), codec="ffv1", fps=Fraction(25))
    run(source, tmp_path / "cut.mkv", codec="ffv1", fps=Fraction(25), resume=True)
    assert content(tmp_path / "cut.mkv") == content(tmp_path / "whole.mkv")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run and a clip of 240 frames."""
    from tests.support.runs import Steered

    folder = tmp_path_factory.mktemp("trained")
    assert Steered.new(folder / "runs", tiny_clip(folder), max_steps=2).train() == "finished"
    write_video(folder / "in.mkv", piece(240, 16, 24))
    yield folder


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "ffv1"), (".mp4", "h264")])
def test_killed_processes_are_resumed_to_the_same_bytes(suffix: str, codec: str, trained: Path) -> None:
    target = trained / f"cut{suffix}"
    words = ["upscale", "latest", "in.mkv", target.name, "--codec", codec, "--chunk", "8", "--overlap", "4"]

    def ended_by(number: signal.Signals, segment: int, *more: str) -> tuple[int, str]:
        with TrainingProcess(trained, [*words, *more]) as process:
            wait_until(
                lambda: (
                    process.process.poll() is not None
                    or list(trained.glob(f".{target.name}.*.part/{segment * 48:08d}.json"))
                ),
                what=f"segment {segment}",
            )
            process.process.send_signal(number)
            return process.wait(), process.output

    assert ended_by(signal.SIGKILL, 0)[0] == -signal.SIGKILL
    assert ended_by(signal.SIGKILL, 1, "--resume")[0] == -signal.SIGKILL
    code, output = ended_by(signal.SIGTERM, 2, "--resume")
    assert code == 75, output
    assert "finished frames are kept" in output
    assert "stopped by SIGTERM: continue with --resume." in output
    code, output = ended_by(signal.SIGINT, 3, "--resume")
    assert code == 130, output
    refused = vsrpp(trained, *words)
    assert refused.returncode == 2
    assert "continue with --resume" in refused.stderr
    done = vsrpp(trained, *words, "--resume", "--json", timeout_s=900)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resumed_at"] >= 144
    whole = vsrpp(trained, *[word if word != target.name else f"whole{suffix}" for word in words], timeout_s=900)
    assert whole.returncode == 0, whole.stderr
    assert target.read_bytes() == (trained / f"whole{suffix}").read_bytes()
    assert not [path for path in hidden(trained) if path.name.endswith(".part")]


def test_what_cannot_be_written_is_refused_before_the_network_runs(clip: Path, tmp_path: Path) -> None:
    model = Recurrent()
    for target, options in [
        ("out.webm", {"codec": "h264"}), ("out.mkv", {"crf": 99}), ("out.mkv", {"pix_fmt": "nonsense"}),
        ("out.ts", {"codec": "ffv1"}),
    ]:  # fmt: skip
        with pytest.raises(VsrppError):
            run(clip, tmp_path / target, model, **options)
    assert model.calls == 0
    assert not list(tmp_path.iterdir())
