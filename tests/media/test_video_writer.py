"""What video files hold: pictures, time, depth, colours, and the other streams of the input. All is read back from files."""

from __future__ import annotations

import gc
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet

from tests.support.reasons import raises
from vsrpp.media import messages
from vsrpp.media.colours import BT709, Colours, from_rgb
from vsrpp.media.containers import CONTAINERS, is_video_target
from vsrpp.media.encoder import CODECS, FrameEncoder
from vsrpp.media.encoding_plan import plan_encoding
from vsrpp.media.folder_writer import FolderWriter, folder_turn
from vsrpp.media.inputs import is_video
from vsrpp.media.subtitles import ASS_HEADER
from vsrpp.media.timing import decoding_stamps
from vsrpp.media.video_reader import MasteringDisplay, OpenClip, open_video
from vsrpp.media.video_writer import VideoWriter, trial

MILLI = Fraction(1, 1000)
UNEVEN = [0, 40, 80, 200, 240, 400]
EVEN = [0, 40, 80, 120, 160, 200]
MASTERING = MasteringDisplay(
    *((Fraction(x, 50_000), Fraction(y, 50_000)) for x, y in ((34000, 16000), (13250, 34500), (7500, 3000), (15635, 16450))),
    darkest=Fraction(1, 10_000), brightest=Fraction(1000),
)  # fmt: skip


def ramp(width: int = 64, height: int = 48, *, deep: bool = False) -> np.ndarray:
    """A picture that is dark on the left and has a bright mark at the top left."""
    row = np.linspace(4096, 61440, width)
    frame = np.broadcast_to(row[None, :, None], (height, width, 3)).copy()
    frame[: height // 4, : width // 4] = 60000
    return frame.astype(np.uint16) if deep else (frame / 257).astype(np.uint8)


def clip(stamps: list[int], **fields: Any) -> OpenClip:
    deep = fields.get("bits", 8) > 8
    width, height = fields.pop("size", (64, 48))
    frames = [np.roll(ramp(width, height, deep=deep), number, axis=1) for number in range(len(stamps))]
    settings = {"rate": Fraction(25), "time_base": MILLI, "colours": Colours(matrix=BT709), **fields}
    return OpenClip(width, height, iter(frames), len(frames), stamps=[(stamp, 0) for stamp in stamps], **settings)


def write(opened: OpenClip, out: Path, source: Path | None = None, *, audio: bool = True, **options: Any) -> list[str]:
    """Write a clip as an upscaling does, without a network; returns all notes."""
    encoding = plan_encoding(out, opened, (opened.width, opened.height), source=source, **options)
    foreseen = trial(out.with_name(f"trial{out.suffix}"), source, encoding, audio=audio)
    writer, encoder = VideoWriter(out, source, encoding, audio=audio), FrameEncoder(encoding)
    packets = [packet for frame in opened.frames for packet in encoder.encode(frame, opened.stamps.pop(0))]
    packets += encoder.flush()
    coded = [packet.pts for packet in packets]
    delay = max(number - sorted(coded).index(stamp) for number, stamp in enumerate(coded))
    times = decoding_stamps(coded, delay, encoding.step)
    for packet, decoded in zip(packets, times, strict=True):
        packet.dts = decoded
        writer.write(packet)
    writer.finish()
    assert foreseen == writer.notes
    return opened.notes + writer.notes


def rewrite(source: Path, out: Path, **options: Any) -> list[str]:
    return write(open_video(source), out, source, **options)


def milliseconds(path: Path) -> list[int]:
    opened = open_video(path)
    list(opened.frames)
    return [round(stamp * opened.time_base * 1000) for stamp, _ in opened.stamps]


def film(
    path: Path, *, stamps: list[int] = EVEN, start: int = 0, sound: str = "", subtitles: str = "", text_at: int = 40,
    extras: bool = False, options: dict[str, str] | None = None,
) -> Path:  # fmt: skip
    """A film of a moving ramp, in 1/1000 s from `start` on; its sound begins with it."""
    with av.open(str(path), "w", container_options=options or {}) as container:
        video = container.add_stream("libx264", rate=25, options={"bf": "0", "crf": "10"})
        video.width, video.height, video.pix_fmt, video.codec_context.time_base = 64, 48, "yuv420p", MILLI
        video.disposition, video.metadata["title"] = 0, "Main"
        tones = []
        for number, language in enumerate(("eng", "jpn")[: 2 if extras else 1] if sound else ()):
            tone = container.add_stream(sound, rate=44100 if sound == "wmav2" else 48000, layout="mono")
            tone.metadata["language"], tone.codec_context.bit_rate = language, 64_000
            tone.disposition = int(Disposition.default) if number == 1 else 0
            tones.append(tone)
        text = container.add_stream(subtitles) if subtitles else None
        if text is not None:
            text.codec_context.subtitle_header = ASS_HEADER
            text.codec_context.time_base = MILLI
            text.metadata["language"], text.disposition = "ger", int(Disposition.forced)
        if extras:
            container.metadata["title"] = "Film"
            container.add_attachment("font.ttf", "application/x-truetype-font", b"letters")
            container.add_attachment("cover.png", "image/png", png())
            container.set_chapters([
                {"id": 1, "start": 0, "end": 100, "time_base": MILLI, "metadata": {"title": "One"}},
                {"id": 2, "start": 100, "end": 240, "time_base": MILLI, "metadata": {"title": "Two"}},
            ])  # fmt: skip
        for number, stamp in enumerate(stamps):
            picture = av.VideoFrame.from_ndarray(np.roll(ramp(), number, axis=1), format="rgb24")
            picture.pts, picture.time_base = start + stamp, MILLI
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for tone in tones:
            rate = tone.codec_context.sample_rate
            size = tone.codec_context.frame_size or 1024
            wave = (np.sin(np.arange(size) * 0.05) * 8000).astype(np.float32)[None] / 32768
            for number in range(8):
                part = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                part.sample_rate, part.time_base = rate, Fraction(1, rate)
                part.pts = start * rate // 1000 + number * size
                container.mux(tone.encode(part))
            container.mux(tone.encode(None))
        if text is not None:
            packet = text.codec_context.encode_subtitle(SubtitleSet.create(b"0,0,Default,,0,0,0,,Hello", 0, 150, start))
            packet.stream, packet.time_base, packet.duration = text, MILLI, 150
            packet.pts = packet.dts = start + text_at
            container.mux(packet)
    return path


def png() -> bytes:
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 16, 16, "rgb24", MILLI
    return b"".join(bytes(packet) for packet in encoder.encode(av.VideoFrame(16, 16, "rgb24")))


# Containers and codecs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "codec"), [(suffix, codec) for suffix, container in CONTAINERS.items() for codec in container.codecs]
)
def test_every_codec_of_every_container_keeps_each_frame_and_its_time(suffix: str, codec: str, tmp_path: Path) -> None:
    stamps = EVEN if CONTAINERS[suffix].even_rate else UNEVEN
    out = tmp_path / f"out{suffix}"
    assert write(clip(stamps), out, codec=codec) == []
    made = milliseconds(out)
    assert [stamp - made[0] for stamp in made] == pytest.approx(stamps, abs=1)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == ("bgr0" if codec == "ffv1" else "yuv420p")
        if codec == "hevc" and suffix in (".mp4", ".m4v", ".mov"):
            assert stream.codec_context.codec_tag == "hvc1"
    assert not (tmp_path / f"trial{suffix}").exists()


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 2])
def test_a_film_of_one_or_two_frames_is_written(frames: int, tmp_path: Path) -> None:
    write(clip(EVEN[:frames], bits=10), tmp_path / "out.mp4", codec="hevc")
    assert milliseconds(tmp_path / "out.mp4") == EVEN[:frames]


def test_the_index_of_mp4_precedes_the_pictures_and_the_bytes_repeat(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "a.mkv", "b.mkv"):
        write(clip(EVEN), tmp_path / name)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert content == (tmp_path / "b.mp4").read_bytes()
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


@pytest.mark.parametrize("codec", CODECS)
def test_encoders_print_nothing(codec: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(clip(EVEN), tmp_path / "o.mkv", codec=codec)
    gc.collect()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
def test_the_bytes_depend_on_nothing_but_the_pictures(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def packets() -> list[bytes]:
        opened = clip(EVEN)
        found = FrameEncoder(plan_encoding(tmp_path / "o.mkv", opened, (64, 48), codec=codec))
        t, y, x = np.mgrid[0:3, 0:48, 0:64]
        waves = np.stack([np.sin((x + 2 * t) / 7), np.cos((y - t) / 9), np.sin((x + y + 3 * t) / 11)], -1)
        noise = np.random.default_rng(1).integers(-4, 5, (3, 48, 64, 3))
        frames = np.clip(128 + 70 * waves + noise, 0, 255).astype(np.uint8)
        made = [packet for frame in frames for packet in found.encode(frame, opened.stamps.pop(0))]
        return [bytes(packet) for packet in made + found.flush()]

    def elsewhere(*given: Any) -> av.VideoFrame:
        """The picture in other memory, with other bytes behind its lines."""
        picture = from_rgb(*given)
        copy = av.VideoFrame.from_ndarray(picture.to_ndarray(), format=picture.format.name)
        copy.colorspace, copy.color_range = picture.colorspace, picture.color_range
        return copy

    plain = [packets() for _ in range(4)]
    monkeypatch.setattr("vsrpp.media.encoder.from_rgb", elsewhere)
    assert all(made == plain[0] for made in [*plain, packets()])


@pytest.mark.parametrize(
    ("name", "options", "fields", "reason"),
    [
        ("o.mp4", {"crf": 52}, {}, messages.CRF_RANGE),
        ("o.webm", {"crf": 64}, {}, messages.CRF_RANGE),
        ("o.webm", {"codec": "h264"}, {}, messages.CODEC_NOT_HELD),
        ("o.avi", {"codec": "h264"}, {}, messages.CODEC_NOT_HELD),
        ("o.mp4", {"codec": "h264"}, {"bits": 10}, messages.CODEC_DEPTH),
        ("o.webm", {"codec": "vp9"}, {"bits": 10}, messages.CODEC_DEPTH),
        ("o.3gp", {}, {"bits": 10}, messages.DEPTH_NOT_HELD),
        ("o.mp4", {"pix_fmt": "yuv999"}, {}, messages.UNKNOWN_PIX_FMT),
        ("o.mp4", {"pix_fmt": "rgb24"}, {}, messages.PIX_FMT),
        ("o.mp4", {"pix_fmt": "yuv420p"}, {"size": (63, 48)}, messages.PIX_FMT_SIZE),
        ("o.gif", {}, {}, messages.NOT_WRITTEN_HERE),
        ("o.wmv", {}, {}, messages.NOT_WRITTEN_HERE),
        ("o.part1", {}, {}, messages.NOT_A_VIDEO_NAME),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_before_the_first_frame(
    name: str, options: dict[str, Any], fields: dict[str, Any], reason: Any, tmp_path: Path
) -> None:
    opened = clip(EVEN, **fields)
    with raises(reason):
        plan_encoding(tmp_path / name, opened, (opened.width, opened.height), **options)
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_a_codec_does_not_take_is_refused_as_such(tmp_path: Path) -> None:
    with raises(messages.NOT_ENCODED):
        write(clip(EVEN, size=(4, 4)), tmp_path / "o.mp4", codec="hevc")
    assert list(tmp_path.iterdir()) == []


def test_every_default_codec_is_one_that_its_container_holds() -> None:
    for container in CONTAINERS.values():
        assert set(container.codecs) <= set(CODECS)
        assert not container.deep or max(CODECS[container.deep].depths) > 8


@pytest.mark.parametrize(
    ("target", "video"),
    [("o.mp4", True), ("O.MKV", True), ("out", False), ("film.part1/", False), ("o.mp4/", False), ("there.x", False)],
)  # fmt: skip
def test_a_folder_has_no_suffix_or_ends_in_a_slash_or_exists(target: str, video: bool, tmp_path: Path) -> None:
    (tmp_path / "there.x").mkdir()
    assert is_video_target(f"{tmp_path}/{target}") is video


@pytest.mark.parametrize(
    ("target", "reason"),
    [("x.part1", messages.UNKNOWN_SUFFIX), ("x.gif", messages.NOT_WRITTEN_HERE), ("x.png", messages.NOT_A_VIDEO_NAME)],
)  # fmt: skip
def test_a_name_that_is_no_video_does_not_become_a_folder(target: str, reason: Any) -> None:
    with raises(reason):
        is_video_target(target)


def test_a_video_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "image.mp4").write_bytes(png())
    (tmp_path / "letter.txt").write_text("no film\n")
    film(tmp_path / "film.ts").rename(tmp_path / "film.recording")
    found = {path.name for path in tmp_path.iterdir() if is_video(path)}
    assert found == {"film.recording"}


# Time


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_of_a_running_clock_starts_at_zero_and_stays_in_sync(suffix: str, tmp_path: Path) -> None:
    source = film(tmp_path / "in.ts", start=101_000, sound="aac", options={"mpegts_copyts": "1"})
    before = milliseconds(source)[0] - first_sound(source)
    assert milliseconds(source)[0] > 100_000
    assert rewrite(source, tmp_path / f"out{suffix}") == []
    made = milliseconds(tmp_path / f"out{suffix}")
    assert min(made[0], first_sound(tmp_path / f"out{suffix}")) < 30
    assert [stamp - made[0] for stamp in made] == EVEN
    assert made[0] - first_sound(tmp_path / f"out{suffix}") == pytest.approx(before, abs=2)


def first_sound(path: Path) -> int:
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        assert len(frames) > 5
        return round(frames[0].pts * frames[0].time_base * 1000)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pictures_before_zero_are_not_skipped(suffix: str, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", start=-120, options={"avoid_negative_ts": "disabled"})
    rewrite(source, tmp_path / f"out{suffix}")
    assert milliseconds(tmp_path / f"out{suffix}") == EVEN


@pytest.mark.parametrize(("text_at", "shown"), [(-4000, []), (-50, [(0, 100)]), (40, [(40, 150)])])
def test_subtitles_from_before_the_film_do_not_delay_it(
    text_at: int, shown: list[tuple[int, int]], tmp_path: Path
) -> None:
    source = film(tmp_path / "in.mkv", start=5000, subtitles="srt", text_at=text_at)
    assert rewrite(source, tmp_path / "out.mkv") == []
    assert milliseconds(tmp_path / "out.mkv") == EVEN
    with av.open(str(tmp_path / "out.mkv")) as container:
        packets = [packet for packet in container.demux(subtitles=0) if packet.size]
        assert [(packet.pts, packet.duration) for packet in packets] == shown


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25), Fraction(50)])
def test_a_rate_is_found_in_rounded_stamps_whatever_the_container_says(rate: Fraction, tmp_path: Path) -> None:
    stamps = [round(number * 1000 / rate) for number in range(200)]
    source = film(tmp_path / "in.mkv", stamps=stamps)  # written as 25 frames per second
    encoding = plan_encoding(tmp_path / "o.avi", open_video(source), (64, 48), source=source)
    assert encoding.rate == rate


def test_avi_has_the_films_rate_and_refuses_an_uneven_one(tmp_path: Path) -> None:
    rewrite(film(tmp_path / "even.mkv"), tmp_path / "out.avi")
    with av.open(str(tmp_path / "out.avi")) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.frames) == (25, len(EVEN))
    uneven = film(tmp_path / "uneven.mkv", stamps=UNEVEN)
    with raises(messages.UNEVEN_RATE):
        rewrite(uneven, tmp_path / "uneven.avi")


# Streams


def inventory(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        return {
            "tags": {key.lower(): value for key, value in container.metadata.items() if key.lower() == "title"},
            "chapters": [
                (round(found["start"] * found["time_base"] * 1000), found["metadata"]["title"])
                for found in container.chapters()
            ],
            "streams": [
                (stream.type, stream.metadata.get("language"), int(stream.disposition)) for stream in container.streams
                if stream.type in ("audio", "subtitle")
            ],
            "title": container.streams.video[0].metadata.get("title"),
            "fonts": [stream.data for stream in container.streams if stream.type == "attachment"],
            "covers": sum(stream.disposition == Disposition.attached_pic for stream in container.streams),
        }  # fmt: skip


def test_matroska_keeps_every_stream_mark_title_chapter_font_and_cover(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", sound="aac", subtitles="ass", extras=True)
    assert rewrite(source, tmp_path / "out.mkv") == []
    before, after = inventory(source), inventory(tmp_path / "out.mkv")
    assert after == before
    assert before["fonts"] == [b"letters"]
    assert before["covers"] == 1
    assert [flags for _, _, flags in before["streams"]] == [0, int(Disposition.default), int(Disposition.forced)]
    assert texts(tmp_path / "out.mkv") == ["Hello"]


def test_mp4_tells_each_thing_it_does_not_hold(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", sound="aac", subtitles="ass", extras=True)
    notes = rewrite(source, tmp_path / "out.mp4")
    assert notes == [
        "converted: subtitles (ger), from ssa to mov_text, without their styles",
        "dropped: the attachment font.ttf; .mp4 holds none",
    ]
    before, after = inventory(source), inventory(tmp_path / "out.mp4")
    for key in ("tags", "chapters", "covers"):
        assert after[key] == before[key]
    assert texts(tmp_path / "out.mp4") == ["Hello"]


def test_without_audio_tags_chapters_fonts_and_cover_stay(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", sound="aac", subtitles="ass", extras=True)
    assert rewrite(source, tmp_path / "out.mkv", audio=False) == []
    before, after = inventory(source), inventory(tmp_path / "out.mkv")
    assert after == {**before, "streams": []}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "of", "to"), [(".mp4", "mov_text", ".mkv"), (".mkv", "srt", ".mp4"), (".mkv", "srt", ".webm")]
)
def test_text_subtitles_become_what_the_container_holds(suffix: str, of: str, to: str, tmp_path: Path) -> None:
    source = film(tmp_path / f"in{suffix}", subtitles=of)
    notes = rewrite(source, tmp_path / f"out{to}")
    assert len(notes) == 1
    assert notes[0].startswith("converted: subtitles (ger), from ")
    assert texts(tmp_path / f"out{to}") == ["Hello"]


def texts(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        shown = [item for packet in container.demux(stream) if packet.size for item in packet.decode()]
        return [item.dialogue.decode() for item in shown if item.dialogue]


def test_avi_tells_that_it_drops_languages_marks_and_subtitles(tmp_path: Path) -> None:
    notes = rewrite(film(tmp_path / "in.mkv", sound="aac", subtitles="ass", extras=True), tmp_path / "out.avi")
    said = "\n".join(notes)
    for what in ("subtitles (ger)", "font.ttf", "cover", "2 chapters", "sound (jpn) as default", "language"):
        assert what in said


@pytest.mark.parametrize(("sound", "suffix"), [("aac", ".webm"), ("wmav2", ".mkv")])
def test_sound_that_is_not_held_names_containers_that_hold_it(sound: str, suffix: str, tmp_path: Path) -> None:
    source = film(tmp_path / ("in.mkv" if sound == "aac" else "in.asf"), sound=sound)
    with raises(messages.SOUND_NOT_HELD) as refused:
        rewrite(source, tmp_path / f"out{suffix}")
    advice = str(refused.value).partition("or use")[2]
    assert "." in advice
    assert suffix not in advice


def test_sound_that_breaks_off_does_not_cost_the_film(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", sound="aac", options={"movflags": "+faststart"})
    content = source.read_bytes()
    source.write_bytes(content[: len(content) * 9 // 10])
    rewrite(source, tmp_path / "out.mkv")
    assert milliseconds(tmp_path / "out.mkv")


# Depth, colours, shape


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("o.mp4", None, "yuv420p10le"), ("o.mkv", "av1", "yuv420p10le"), ("o.mkv", "ffv1", "gbrp10le")],
)  # fmt: skip
def test_ten_bits_stay_ten_bits_and_hdr_is_named(name: str, codec: str | None, pix_fmt: str, tmp_path: Path) -> None:
    hdr = Colours(matrix=9, primaries=9, transfer=16)
    opened = clip(EVEN, bits=10, colours=hdr, mastering=MASTERING, content_light=(1000, 400), size=(512, 64))
    notes = write(opened, tmp_path / name, codec=codec, crf=None if codec == "ffv1" else 1)
    made = open_video(tmp_path / name)
    first = next(made.frames)
    assert made.stream.codec_context.pix_fmt == pix_fmt
    assert (made.colours.primaries, made.colours.transfer) == (9, 16)
    assert len(np.unique(first[40, :, 1])) > 300  # 8 bits of limited range have 220
    if codec == "ffv1":
        assert notes == ["dropped: mastering display and content light level; ffv1 does not hold them"]
        return
    assert notes == []
    assert made.content_light == (1000, 400)
    assert made.mastering is not None
    assert float(made.mastering.red[0]) == pytest.approx(0.68, abs=1e-4)
    assert float(made.mastering.brightest) == 1000


@pytest.mark.slow
def test_twelve_bits_are_hevc_and_a_cut_is_told(tmp_path: Path) -> None:
    assert write(clip(EVEN, bits=12), tmp_path / "o.mkv") == []
    assert open_video(tmp_path / "o.mkv").stream.codec_context.pix_fmt == "yuv420p12le"
    notes = write(clip(EVEN, bits=16), tmp_path / "cut.mkv")
    assert notes == ["the input has 16 bits per channel, the output has 12"]
    notes = write(clip(EVEN, bits=10), tmp_path / "eight.mp4", codec="h264", pix_fmt="yuv420p")
    assert notes == ["the input has 10 bits per channel, the output has 8"]


def test_more_colour_than_players_know_is_kept_only_if_asked(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv444p")))
        container.mux(stream.encode(None))
    notes = rewrite(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert len(notes) == 1
    assert "--pix-fmt" in notes[0]
    assert open_video(tmp_path / "out.mp4").stream.codec_context.pix_fmt == "yuv420p"
    assert rewrite(tmp_path / "in.mkv", tmp_path / "all.mp4", pix_fmt="yuv444p") == []
    assert open_video(tmp_path / "all.mp4").stream.codec_context.pix_fmt == "yuv444p"


def mark(frame: np.ndarray) -> tuple[str, str]:
    """Where the bright mark is: the brightest quarter."""
    grey = frame.astype(float).mean(-1)
    height, width = grey.shape
    corners = {
        (down, across): grey[slice(0, 8) if down == "top" else slice(height - 8, None),
                             slice(0, 8) if across == "left" else slice(width - 8, None)].mean()
        for down in ("top", "bottom") for across in ("left", "right")
    }  # fmt: skip
    return max(corners, key=lambda corner: corners[corner])


def marked(**fields: Any) -> OpenClip:
    """One frame with a mark at its top left."""
    frame = np.full((48, 64, 3), 30, np.uint8)
    frame[:12, :16] = 240
    opened = clip([0], **fields)
    opened.frames = iter([frame])
    return opened


@pytest.mark.slow
@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".ts", ".avi", ".flv"])
def test_a_turned_film_is_shown_upright_from_every_container(suffix: str, rotation: int, tmp_path: Path) -> None:
    notes = write(marked(rotation=rotation), tmp_path / f"o{suffix}")
    made = open_video(tmp_path / f"o{suffix}")
    shown = np.rot90(next(made.frames), made.rotation // 90)
    assert shown.shape[:2] == ((48, 64) if rotation == 180 else (64, 48))
    assert mark(shown) == {90: ("bottom", "left"), 180: ("bottom", "right"), 270: ("top", "right")}[rotation]
    if CONTAINERS[suffix].turns:
        assert (made.rotation, notes) == (rotation, [])
    else:
        assert (made.rotation, len(notes)) == (0, 1)


def test_the_shape_of_pixels_is_kept_or_told(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv")
    opened = open_video(source)
    opened.sample_aspect = Fraction(32, 27)
    assert write(opened, tmp_path / "o.mp4", source) == []
    assert open_video(tmp_path / "o.mp4").sample_aspect == Fraction(32, 27)
    opened = open_video(source)
    opened.sample_aspect = Fraction(32, 27)
    notes = write(opened, tmp_path / "o.avi", source)
    assert notes == ["dropped: the shape of the pixels (32:27); .avi does not hold it"]


def test_frames_in_a_folder_are_upright_and_have_their_sixteen_bits(tmp_path: Path) -> None:
    opened = clip([0], bits=16, rotation=90, sample_aspect=Fraction(32, 27))
    frame = next(opened.frames)
    writer = FolderWriter(tmp_path / "out", turn=folder_turn(opened))
    file = writer.write(frame)
    with av.open(str(file)) as container:
        picture = next(container.decode(video=0))
        assert picture.format.name == "rgb48be"
        assert np.array_equal(picture.to_ndarray(format="rgb48le"), np.rot90(frame))
    assert len(opened.notes) == 2


def test_the_documented_table_is_that_of_the_containers() -> None:
    text = (Path(__file__).parents[2] / "docs" / "upscaling.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `.")]
    told = {suffix: row for row in rows for suffix in re.findall(r"`(\.\w+)`", row[0])}
    assert set(told) == set(CONTAINERS)
    for suffix, container in CONTAINERS.items():
        _, codecs, text_codec, rotation, fonts, chapters, cover = told[suffix]
        assert codecs == ", ".join(container.codecs)
        assert text_codec == (container.text.replace("srt", "all") or "no")
        assert (rotation == "said", fonts == "yes") == (container.turns, container.attachments)
        assert (chapters == "yes", cover == "yes") == (container.chapters, bool(container.cover))


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_no_encoder_changes_how_the_process_is_scheduled(tmp_path: Path, codec: str) -> None:
    before = os.sched_getscheduler(0)
    opened = clip(EVEN)
    encoding = plan_encoding(tmp_path / "a.mkv", opened, (64, 48), codec=codec)
    encoder = FrameEncoder(encoding)
    trial(tmp_path / "trial.mkv", None, encoding, audio=False)
    packets = [packet for frame in opened.frames for packet in encoder.encode(frame, opened.stamps.pop(0))]
    assert [*packets, *encoder.flush()]
    threads = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    assert {os.sched_getscheduler(thread) for thread in threads} == {before}


@pytest.mark.parametrize("siting", ("center", "topleft"))
def test_chroma_is_stored_where_players_expect_it_in_a_file_that_does_not_say(tmp_path: Path, siting: str) -> None:
    planes = []
    for name in ("left", siting):
        write(clip(EVEN, colours=Colours(matrix=BT709, siting=name)), tmp_path / f"{name}.mkv")
        assert open_video(tmp_path / f"{name}.mkv").colours.siting == "left"
        with av.open(str(tmp_path / f"{name}.mkv")) as container:
            planes.append([frame.to_ndarray() for frame in container.decode(video=0)])
    np.testing.assert_array_equal(*planes)
