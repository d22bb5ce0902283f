"""Videos as people have them: torn, damaged, turned, interlaced, deep."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.reasons import raises
from vsrpp.media import messages
from vsrpp.media.colours import Colours, from_rgb
from vsrpp.media.video_reader import OpenClip, count_video, iter_video, open_video, probe_video

Frames = NDArray[np.uint8]


def pictures(count: int, height: int = 48, width: int = 64) -> Frames:
    """Moving waves with a little noise, (count, height, width, 3)."""
    t, y, x = np.mgrid[0:count, 0:height, 0:width]
    waves = [np.sin((x + 2 * t) / 7), np.cos((y - t) / 9), np.sin((x + y + 3 * t) / 11)]
    noise = np.random.default_rng(1).integers(-4, 5, (count, height, width, 3))
    return np.clip(128 + 70 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)


def film(
    path: Path, frames: Frames, *, encoder: str = "libx264", pix_fmt: str = "yuv420p", colours: Colours | None = None,
    options: Mapping[str, str] | None = None, rotation: int = 0, stamps: list[int] | None = None, begin_s: float = 0,
    sound_s: float = 0, faststart: bool = False, unnamed: bool = False,
    aspect: Fraction | None = None,
) -> Path:  # fmt: skip
    how = colours or Colours(matrix=6)
    with av.open(str(path), "w", container_options={"movflags": "faststart"} if faststart else {}) as container:
        stream = container.add_stream(encoder, rate=25, options={"threads": "1", **(options or {})})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.time_base = Fraction(1, 25 if path.suffix == ".avi" else 1000)
        context.color_range = 2 if how.full_range else 1
        if not unnamed:
            context.colorspace, context.color_primaries, context.color_trc = how.matrix, how.primaries, how.transfer
        if aspect:
            context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        tone = container.add_stream("aac", rate=48000, layout="mono") if sound_s else None
        for number, frame in enumerate(frames):
            picture = from_rgb(frame, how, pix_fmt)
            if unnamed:
                picture.colorspace = 2
            at_ms = stamps[number] if stamps else 40 * number + round(begin_s * 1000)
            picture.pts, picture.time_base = round(at_ms / 1000 / context.time_base), context.time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if tone is not None:
            for start in range(0, int(sound_s * 48000), 1024):
                part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
                part.sample_rate, part.pts, part.time_base = 48000, start, Fraction(1, 48000)
                container.mux(tone.encode(part))
            container.mux(tone.encode(None))
    return path


def read(path: Path, **how: bool) -> tuple[list[Frames], OpenClip]:
    with closing(open_video(path, **how)) as opened:
        return list(opened.frames), opened


def decodable(path: Path) -> int:
    """The frames that a decoder without threads gets out of a file, past every error."""
    frames = 0
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "SLICE"
        for packet in container.demux(video=0):
            try:
                frames += len(packet.decode())
            except av.error.FFmpegError:
                continue
    return frames


def cut(path: Path, part: float) -> Path:
    short = path.with_name(f"cut{path.suffix}")
    data = path.read_bytes()
    short.write_bytes(data[: int(len(data) * part)])
    return short


def spoiled(path: Path) -> Path:
    bad = path.with_name(f"bad{path.suffix}")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = b"\xff" * 300
    bad.write_bytes(data)
    return bad


@pytest.mark.parametrize(
    ("name", "how"),
    (
        ("a.mp4", {}), ("a.mkv", {}), ("a.avi", {"encoder": "ffv1", "pix_fmt": "bgr0"}), ("a.ts", {}), ("a.mov", {}),
        ("late.mkv", {"begin_s": 0.5, "sound_s": 2}), ("late.mp4", {"begin_s": 0.5, "sound_s": 2}),
        ("sound.mkv", {"sound_s": 1.6}), ("begin.ts", {"begin_s": 100}),
        ("vfr.mkv", {"stamps": [0, 40, 80, 200, 240, 600, 640, 680, 1200, 1240, 1280, 1290]}),
        ("vfr.mp4", {"stamps": [0, 40, 80, 200, 240, 600, 640, 680, 1200, 1240, 1280, 1290]}),
    ),
)  # fmt: skip
def test_a_whole_film_has_no_problems(tmp_path: Path, name: str, how: dict[str, object]) -> None:
    path = film(tmp_path / name, pictures(12), **how)  # type: ignore[arg-type]
    frames, opened = read(path)
    assert len(frames) == opened.delivered == 12
    assert (opened.problems, opened.notes, opened.promised) == ([], [], 12)
    assert len(opened.stamps) == 12


@pytest.mark.parametrize(("name", "faststart"), (("a.mp4", True), ("a.mkv", False)))
def test_a_torn_film_gives_every_frame_that_can_be_decoded_and_says_how_many_are_missing(
    tmp_path: Path, name: str, faststart: bool
) -> None:
    path = cut(film(tmp_path / name, pictures(100), options={"g": "25"}, faststart=faststart), 0.55)
    frames, opened = read(path)
    assert 30 < len(frames) == decodable(path) < 80
    assert opened.promised == 100 and opened.missing == 100 - len(frames)
    assert f"it says 100 frames, {len(frames)} could be read" in opened.problems[0]
    assert len(opened.stamps) == len(frames)
    with raises(messages.INCOMPLETE):
        read(path, strict=True)


@pytest.mark.slow
def test_a_bad_packet_costs_its_frames_and_not_the_film(tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mkv", pictures(100), options={"g": "10", "bf": "0"})
    path = spoiled(whole)
    frames, opened = read(path)
    assert 40 < len(frames) == decodable(path) < 100
    assert opened.problems or "may be missing" in opened.notes[0]
    intact = dict(zip([stamp for stamp, _ in read(whole)[1].stamps], read(whole)[0], strict=True))
    kept = [stamp for stamp, _ in opened.stamps]
    assert kept[0] == 0 and kept[-1] == 3960
    assert np.array_equal(frames[-1], intact[3960])


@pytest.mark.slow
def test_training_counts_and_reads_the_same_frames_of_a_damaged_film_and_names_what_is_missing(tmp_path: Path) -> None:
    path = spoiled(film(tmp_path / "a.mkv", pictures(60), options={"g": "10", "bf": "0"}))
    notes: list[str] = []
    frames = list(iter_video(path, notes=notes))
    assert count_video(path) == (len(frames), 64, 48)
    assert any("missing" in note for note in notes)


def test_a_packet_that_cannot_be_decoded_is_skipped_and_counted(tmp_path: Path) -> None:
    with av.open(str(film(tmp_path / "a.mkv", pictures(60), options={"g": "10", "bf": "0"}))) as whole:
        stream = whole.streams.video[0]
        path = tmp_path / "bad.mkv"
        with av.open(str(path), "w") as out:
            copy = out.add_stream_from_template(stream)
            for number, packet in enumerate(whole.demux(stream)):
                if number == 39:
                    bad = av.Packet(b"\x00\x00\x00\x04\x65\xff\xff\xff")
                    bad.pts, bad.dts, bad.time_base = packet.pts, packet.dts, packet.time_base
                    packet = bad
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
    frames, opened = read(path)
    assert opened.skipped == 1 and len(frames) == 59 and opened.missing == 1
    assert [stamp for stamp, _ in opened.stamps] == [40 * number for number in range(60) if number != 39]
    with raises(messages.NOT_DECODABLE):
        read(path, strict=True)


def test_a_film_without_a_decodable_frame_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", pictures(1))
    data = bytearray(path.read_bytes())
    start = data.index(b"\x1f\x43\xb6\x75") + 40
    data[start:] = b"\xff" * (len(data) - start)
    path.write_bytes(data)
    with pytest.raises((messages.NOT_DECODABLE.error, messages.NO_DECODABLE_FRAME.error)):
        open_video(path)


@pytest.mark.parametrize(("rotation", "turns"), ((90, 1), (180, 2), (270, 3)))
def test_training_reads_frames_as_players_show_them(tmp_path: Path, rotation: int, turns: int) -> None:
    same = {"x264-params": "cpu-independent=1"}  # the same bytes each time
    level = film(tmp_path / "level.mp4", pictures(3), options=same)
    turned = film(tmp_path / "turned.mp4", pictures(3), rotation=rotation, options=same)
    upright = list(iter_video(turned))
    assert all(np.array_equal(a, np.rot90(b, turns)) for a, b in zip(upright, iter_video(level), strict=True))
    assert probe_video(turned) == (upright[0].shape[1], upright[0].shape[0])
    with closing(open_video(turned)) as opened:
        assert opened.rotation == rotation


@pytest.mark.parametrize("full", (False, True))
def test_every_command_reads_the_same_colours(tmp_path: Path, full: bool) -> None:
    colour = np.array([0xC0, 0x40, 0x20], np.uint8)
    flat = np.broadcast_to(colour, (2, 720, 64, 3))
    path = film(
        tmp_path / "hd.mp4", flat, colours=Colours(matrix=1, full_range=full), unnamed=True, options={"qp": "0"}
    )
    upscaled, opened = read(path)
    trained = list(iter_video(path))
    assert opened.matrix == 1 and opened.full_range == full
    assert np.array_equal(upscaled, trained)
    assert np.abs(trained[0].reshape(-1, 3).mean(0) - colour).max() < 1.5


def test_version_1_reads_as_before(tmp_path: Path) -> None:
    path = film(tmp_path / "hd.mp4", pictures(2, 720, 64), colours=Colours(matrix=1), unnamed=True, rotation=90)
    with av.open(str(path)) as container:
        before = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.array_equal(list(iter_video(path, 1)), before)
    assert probe_video(path, 1) == (64, 720) and count_video(path, 1) == (2, 64, 720)
    assert not np.array_equal(list(iter_video(path)), [np.rot90(frame) for frame in before])


def test_deep_video_is_read_in_its_depth_or_rounded_with_a_note(tmp_path: Path) -> None:
    path = film(tmp_path / "ten.mkv", pictures(2), encoder="ffv1", pix_fmt="yuv420p10le")
    deep, opened = read(path)
    assert opened.bits == 10 and deep[0].dtype == np.uint16 and not opened.notes
    shallow, opened = read(path, deep=False)
    assert opened.bits == 8 and shallow[0].dtype == np.uint8 and "10 bits" in opened.notes[0]
    assert np.abs(deep[0] / 257 - shallow[0]).max() <= 0.51


def test_hdr_is_described_and_its_values_are_read_as_coded(tmp_path: Path) -> None:
    graded = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    path = film(
        tmp_path / "hdr.mp4", pictures(2), encoder="libx265", pix_fmt="yuv420p10le",
        colours=Colours(matrix=9, primaries=9, transfer=16),
        options={"x265-params": f"log-level=none:master-display={graded}:max-cll=1000,400"},
    )  # fmt: skip
    _, opened = read(path)
    assert opened.colours.hdr and opened.bits == 10 and opened.content_light == (1000, 400)
    assert opened.mastering is not None
    assert opened.mastering.red == (Fraction(34000, 50000), Fraction(16000, 50000))
    assert (opened.mastering.brightest, opened.mastering.darkest) == (1000, Fraction(1, 10000))
    assert any("PQ" in note for note in opened.notes)


@pytest.mark.slow
def test_interlaced_video_is_noted_or_made_whole(tmp_path: Path) -> None:
    moving = pictures(20)
    woven = moving[::2].copy()
    woven[:, 1::2] = moving[1::2, 1::2]
    path = film(
        tmp_path / "tv.mp4", woven, options={"flags": "+ildct+ilme", "x264opts": "tff=1", "qp": "1"},
    )  # fmt: skip
    combed, opened = read(path)
    assert opened.interlaced and "interlaced" in opened.notes[0]
    whole, opened = read(path, deinterlace=True)
    assert opened.interlaced and not opened.notes
    assert len(whole) == len(combed) == 10 and len(opened.stamps) == 10
    assert [stamp for stamp, _ in opened.stamps] == [stamp for stamp, _ in read(path)[1].stamps]

    def combing(frames: list[Frames]) -> float:
        lines = np.asarray(frames, np.float64)
        return float(np.abs(lines[:, 1:-1] - (lines[:, :-2] + lines[:, 2:]) / 2).mean())

    assert combing(whole) < 0.8 * combing(combed)


@pytest.mark.slow
def test_deinterlacing_leaves_progressive_frames_as_they_are(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", pictures(6))
    frames, opened = read(path, deinterlace=True)
    assert np.array_equal(frames, read(path)[0])
    assert "changed nothing" in opened.notes[0]


def test_training_is_told_of_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = film(tmp_path / "wide.mkv", pictures(2), aspect=Fraction(32, 27))
    notes: list[str] = []
    assert len(list(iter_video(path, notes=notes))) == 2 and "32:27" in notes[0]
    with closing(open_video(path)) as opened:
        assert opened.sample_aspect == Fraction(32, 27) and not opened.notes


@pytest.mark.parametrize(("opacity", "noted"), ((255, False), (128, True)))
def test_alpha_is_noted_if_something_is_transparent(tmp_path: Path, opacity: int, noted: bool) -> None:
    path = tmp_path / "a.mkv"
    rgba = np.full((16, 16, 4), opacity, np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "bgra"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="bgra")))
        container.mux(stream.encode(None))
    _, opened = read(path)
    assert opened.alpha == noted == any("alpha" in note for note in opened.notes)


@pytest.mark.parametrize("siting", ("left", "center", "topleft"))
def test_the_place_of_chroma_samples_is_read_from_the_file(tmp_path: Path, siting: str) -> None:
    path = film(
        tmp_path / "a.mkv", pictures(1), colours=Colours(matrix=6, siting=siting),
        options={"chroma_sample_location": siting},
    )  # fmt: skip
    assert read(path)[1].colours.siting == siting


def test_a_cover_picture_is_not_taken_for_the_film(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", pictures(3))
    cover = tmp_path / "cover.png"
    av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24").save(str(cover))
    path = tmp_path / "covered.mp4"
    with av.open(str(path), "w") as out, av.open(str(cover)) as first, av.open(str(tmp_path / "film.mp4")) as second:
        streams = [out.add_stream_from_template(source.streams.video[0]) for source in (first, second)]
        streams[0].disposition = av.stream.Disposition.attached_pic
        for source, stream in zip((first, second), streams, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    assert count_video(path) == (3, 64, 48)
