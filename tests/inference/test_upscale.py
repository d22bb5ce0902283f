"""Upscaling files: frames, time stamps, colours and sound are kept; a failure leaves no files."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.support.clips import piece, write_frames, write_video
from tests.support.reasons import raises
from vsrpp.data import messages as data_messages
from vsrpp.errors import NotFound, Refused
from vsrpp.inference import messages
from vsrpp.inference.chunks import StreamBounds
from vsrpp.inference.progress import UpscaleProgress
from vsrpp.inference.upscale import UpscaleEars, UpscaleOptions, upscale
from vsrpp.media import messages as media_messages
from vsrpp.media.video_reader import iter_video
from vsrpp.models import Network


class Nearest(Network):
    """Every pixel twice as large."""

    scale = 2

    def forward(self, lr: Tensor) -> Tensor:
        return lr.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)

    def blocks(self) -> dict[str, nn.Module]:
        return {}

    def facts(self) -> dict[str, object]:
        return {}


def run(source: Path, target: Path, **options: object) -> dict[str, object]:
    asked = UpscaleOptions(**{"bounds": StreamBounds(chunk_frames=4, overlap=2, tile=40, tile_overlap=8), **options})
    return upscale(Nearest(), str(source), str(target), asked, device=torch.device("cpu"))


def twice(frames: np.ndarray) -> np.ndarray:
    return frames.repeat(2, axis=1).repeat(2, axis=2)


def film(
    path: Path, frames: np.ndarray, stamps: list[int], *, sound: bool = True, matrix: int = 1, full: bool = False
) -> Path:
    """A video with uneven time stamps (in 1/1000 s), a named matrix and range, and a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "1", "bf": "0"})
        video.height, video.width, video.pix_fmt = *frames.shape[1:3], "yuv420p"
        context = video.codec_context
        context.time_base = Fraction(1, 1000)
        context.colorspace, context.color_primaries, context.color_trc = matrix, matrix, matrix
        context.color_range = 2 if full else 1
        tone = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for frame, stamp in zip(frames, stamps, strict=True):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
                format="yuv420p", dst_colorspace=matrix, dst_color_range=2 if full else 1, src_color_range=2
            )
            picture.colorspace, picture.color_range = matrix, 2 if full else 1
            picture.pts, picture.time_base = stamp, Fraction(1, 1000)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if tone is not None:
            wave = (np.sin(np.arange(48000) * 0.05) * 8000).astype(np.int16)
            for start in range(0, len(wave) - 1023, 1024):
                part = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="s16", layout="mono")
                part.sample_rate, part.pts, part.time_base = 48000, start, Fraction(1, 48000)
                container.mux(tone.encode(part))
            container.mux(tone.encode(None))
    return path


def seconds(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [round(frame.time, 3) for frame in container.decode(video=0)]


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def start_of_sound(path: Path) -> float:
    with av.open(str(path)) as container:
        return next(float(packet.pts * packet.time_base) for packet in container.demux(audio=0) if packet.size)


STAMPS = [0, 40, 80, 200, 240, 400, 410, 520, 600]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_uneven_time_stamps_and_the_sound_are_kept(suffix: str, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", piece(9, 48, 64), STAMPS)
    done = run(source, tmp_path / f"out{suffix}")
    assert done["frames"] == 9
    assert done["output_size"] == [128, 96]
    made = seconds(tmp_path / f"out{suffix}")
    # Matroska has no negative time: it begins with the sound's priming, and shifts pictures and sound alike
    assert [round(stamp - made[0], 3) for stamp in made] == [stamp / 1000 for stamp in STAMPS]
    assert made[0] - start_of_sound(tmp_path / f"out{suffix}") == pytest.approx(-start_of_sound(source), abs=0.002)
    assert sound_of(tmp_path / f"out{suffix}") == sound_of(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.mp4", f"out{suffix}"])


@pytest.mark.parametrize(("matrix", "full"), [(1, False), (6, False), (1, True)])
def test_matrix_and_range_are_named_and_the_colours_stay(matrix: int, full: bool, tmp_path: Path) -> None:
    frames = (piece(3, 48, 64) * [1.0, 0.4, 0.3]).astype(np.uint8)  # reddish: there the matrices differ most
    source = film(tmp_path / "in.mp4", frames, [0, 40, 80], sound=False, matrix=matrix, full=full)
    run(source, tmp_path / "out.mp4", crf=1)
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (matrix, matrix, matrix)
        assert context.color_range == (2 if full else 1)
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        shown = frame.reformat(
            format="rgb24", src_colorspace=matrix, src_color_range=2 if full else 1, dst_color_range=2
        ).to_ndarray()
    means = np.abs(shown.astype(float).mean((0, 1)) - frames[0].astype(float).mean((0, 1)))
    assert means.max() < 4  # grey levels: swscale loses one each time it converts full range; a wrong matrix is ten off


def test_ffv1_holds_the_networks_very_pixels(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mkv", piece(7, 30, 50))
    run(source, tmp_path / "out.mkv", codec="ffv1")
    assert np.array_equal(np.stack(list(iter_video(tmp_path / "out.mkv"))), twice(piece(7, 30, 50)))


def test_a_folder_of_frames_keeps_its_names_and_becomes_a_video_at_the_rate_asked(tmp_path: Path) -> None:
    frames = piece(5, 20, 30)
    source = write_frames(tmp_path / "in", frames, "im{}.png")
    run(source, tmp_path / "out")
    made = [np.asarray(Image.open(tmp_path / "out" / f"im{number}.png")) for number in range(5)]
    assert np.array_equal(np.stack(made), twice(frames))
    run(source, tmp_path / "out.mkv", fps=Fraction(30000, 1001))
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert abs(float(container.streams.video[0].average_rate) - 29.97) < 0.01
    assert len(seconds(tmp_path / "out.mkv")) == 5


def test_a_size_without_even_sides_is_encoded_without_subsampling(tmp_path: Path) -> None:
    class Threefold(Nearest):
        scale = 3

        def forward(self, lr: Tensor) -> Tensor:
            return lr.repeat_interleave(3, dim=-1).repeat_interleave(3, dim=-2)

    source = write_frames(tmp_path / "in", piece(2, 21, 31))
    options = UpscaleOptions(bounds=StreamBounds(), fps=Fraction(25))
    upscale(Threefold(), str(source), str(tmp_path / "o.mp4"), options, device=torch.device("cpu"))
    assert next(iter_video(tmp_path / "o.mp4")).shape == (63, 93, 3)


def test_progress_says_how_far_and_how_long(tmp_path: Path) -> None:
    source = write_frames(tmp_path / "in", piece(4, 16, 16))
    seen: list[UpscaleProgress] = []
    upscale(
        Nearest(), str(source), str(tmp_path / "o"), UpscaleOptions(bounds=StreamBounds()), device=torch.device("cpu"),
        ears=UpscaleEars(on_progress=seen.append),
    )  # fmt: skip
    assert [(item.frames, item.expected) for item in seen] == [(0, 4), (0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[0].eta_s is None
    assert seen[1].share == 1
    assert seen[-1].eta_s == 0


def test_the_remaining_time_is_within_half_again_after_a_tenth_of_the_work(tmp_path: Path) -> None:
    now = 0.0

    class Timed(Nearest):
        """Takes a second for each frame, and a third more for every second tile."""

        calls = 0

        def forward(self, lr: Tensor) -> Tensor:
            nonlocal now
            now += lr.shape[1] * (1 + self.calls % 2 / 3)
            self.calls += 1
            return super().forward(lr)

    source = write_frames(tmp_path / "in", piece(30, 48, 64))
    seen: list[tuple[float, UpscaleProgress]] = []
    upscale(
        Timed(), str(source), str(tmp_path / "o"),
        UpscaleOptions(bounds=StreamBounds(chunk_frames=4, overlap=2, tile=40, tile_overlap=8)),
        device=torch.device("cpu"), clock=lambda: now, ears=UpscaleEars(on_progress=lambda told: seen.append((now, told))),
    )  # fmt: skip
    assert seen[0][1].frames == seen[0][1].work == 0  # something is said before the first tile
    assert seen[-1][1].share == 1
    late = [(at, told) for at, told in seen if told.share is not None and 0.1 <= told.share < 0.98]
    assert len(late) > 20
    for at, told in late:
        assert told.eta_s is not None
        assert 1 / 1.5 < told.eta_s / (now - at) < 1.5


def test_a_refusal_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.mkv", piece(3, 20, 20))
    folder = write_frames(tmp_path / "frames", piece(2, 20, 20))
    (tmp_path / "there.mkv").write_bytes(b"mine")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "letter.txt").write_text("mine")
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    (tmp_path / "letter.txt").write_text("no video")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for source, target, options, reason in [
        (video, "there.mkv", {}, messages.TARGET_EXISTS),
        (video, "in.mkv", {"overwrite": True}, messages.TARGET_IS_INPUT),
        (folder, "o.mp4", {}, messages.NO_FRAME_RATE),
        (video, "mixed", {"overwrite": True}, messages.TARGET_HOLDS_OTHERS),
        (video, "o.mkv", {"fps": Fraction(25)}, messages.FPS_OF_VIDEO),
        (tmp_path / "torn.mp4", "o.mkv", {}, media_messages.NOT_OPENED_AS_VIDEO),
        (video, "o.webm", {"codec": "h264"}, media_messages.CODEC_NOT_HELD),
        (video, "o.png", {}, media_messages.NOT_A_VIDEO_NAME),
        (video, "o.ma4", {}, media_messages.UNKNOWN_SUFFIX),
        (video, "o.mp4", {"crf": 52}, media_messages.CRF_RANGE),
        (tmp_path / "letter.txt", "o.mp4", {}, data_messages.NOT_A_VIDEO),
    ]:
        with raises(reason):
            run(source, tmp_path / target, **options)
    with pytest.raises(NotFound):
        run(tmp_path / "gone.mp4", tmp_path / "o.mkv")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_failure_half_way_leaves_the_old_output_and_no_part(tmp_path: Path) -> None:
    source = write_frames(tmp_path / "in", piece(9, 20, 20))
    (source / "00000008.png").write_bytes(b"torn")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.png").write_bytes(b"mine")
    with pytest.raises(Refused):
        run(source, tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert (tmp_path / "out" / "old.png").read_bytes() == b"mine"


def test_overwrite_replaces_a_whole_folder_of_frames(tmp_path: Path) -> None:
    source = write_frames(tmp_path / "in", piece(2, 16, 16))
    write_frames(tmp_path / "out", piece(5, 16, 16))
    run(source, tmp_path / "out", overwrite=True)
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.slow
def test_the_command_upscales_with_the_ema_weights_of_a_run(tmp_path: Path) -> None:
    from tests.support.clips import tiny_clip
    from tests.support.processes import vsrpp
    from tests.support.runs import Steered

    trained = Steered.new(tmp_path / "runs", tiny_clip(tmp_path), max_steps=2)
    assert trained.train() == "finished"
    done = vsrpp(
        tmp_path, "upscale", "latest", str(tmp_path / "tiny.mkv"), "big.mkv", "--codec", "ffv1", "--chunk", "8",
        "--overlap", "4", "--tile", "64", "--tile-overlap", "16", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["frames"] == 24
    assert said["output_size"] == [192, 128]
    assert Path(said["output"]).is_file()
    assert (said["window"], said["validated_window"]) == (16, 32)
    longer = vsrpp(tmp_path, "upscale", "latest", str(tmp_path / "tiny.mkv"), "longer.mkv", "--chunk", "32")
    assert "A window of 48 frames" in longer.stderr
    assert "validated at 32 frames" in longer.stderr
    again = vsrpp(tmp_path, "upscale", "latest", str(tmp_path / "tiny.mkv"), "big.mkv")
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "--overwrite" in again.stderr
