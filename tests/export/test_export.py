"""Every registered network leaves in every form, and the file answers as the network does or is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.support import plugins
from vsrpp import models
from vsrpp.errors import ProofFailed, Refused
from vsrpp.export import forms, parity, writers
from vsrpp.export.forms import INPUT, OUTPUT, SUFFIXES, ExportRequest, request_of
from vsrpp.export.job import REPORT_KEYS, export
from vsrpp.export.parity import sample_frames
from vsrpp.export.runners import load
from vsrpp.export.safetensors_file import write as write_safetensors
from vsrpp.models.bicubic import BicubicUpscale
from vsrpp.models.spynet import SpyNet

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
GUIDE = (ROOT / "docs/export.md").read_text(encoding="utf-8")
FRAMES = 2


@pytest.fixture(autouse=True)
def in_ci_the_extra_is_there(request: pytest.FixtureRequest) -> None:
    """Tests of ONNX are skipped without the extra, except where scripts/test has installed it."""
    if "onnx" in request.node.name:
        missing = [name for name in forms.PACKAGES if forms.find_spec(name) is None]
        if missing and not os.environ.get("CI"):
            pytest.skip(f"the extra [export] is missing: pip install {' '.join(missing)}")
        assert not missing


def built(config: dict[str, Any]) -> nn.Module:
    """The network with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    network: nn.Module = models.build(config).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(0.02 * torch.randn_like(weights))
    return network


@pytest.fixture
def config_of(tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """The run config of a small network, ours or `plugin`."""

    def of(name: str) -> dict[str, Any]:
        if name != "plugin":
            return {"network": name, "scale": 2, "n_feats": 4, "n_blocks": 1, "network_version": 2, "name": "tiny"}
        monkeypatch.chdir(tmp_path)
        plugins.write(tmp_path)
        return plugins.configs(tiny_clip, network="extras.py:TinyNet", tiny_width=4)[0]

    return of


def exported(config: dict[str, Any], folder: Path, form: str, **more: Any) -> dict[str, Any]:
    request = ExportRequest(form=form, **{"frames": FRAMES, **more})
    return export(built(config), config, request, folder / f"out{SUFFIXES[form]}", run_id="r1", step=3)


# ---- every network, every form
@pytest.mark.slow
@pytest.mark.parametrize("form", SUFFIXES)
@pytest.mark.parametrize("name", [*models.names(), "plugin"])
def test_every_network_leaves_in_every_form(
    config_of: Callable[[str], dict[str, Any]], tmp_path: Path, name: str, form: str
) -> None:
    config = config_of(name)
    report = exported(config, tmp_path, form)
    assert set(REPORT_KEYS) <= report.keys()
    assert report["max_abs_difference"] <= 1e-5 and report["network"] == config["network"] and report["scale"] == 2
    assert report["sizes"] == [list(size) for size in parity.SIZES] and len(report["sizes"]) == 3
    file = Path(report["path"])
    assert report["bytes"] == file.stat().st_size
    assert {path.name for path in tmp_path.glob("*out*")} == {file.name}, "one file, no side file"
    assert str(ROOT).encode() not in file.read_bytes() or form == "torchscript"
    if form == "safetensors":
        return
    run = load(file, ExportRequest(form=form, frames=FRAMES), config)
    two, network = torch.rand(2, FRAMES, 3, 34, 50), built(config)
    with torch.no_grad():
        assert (run(two) - network(two)).abs().max() <= 1e-5, "clips in one batch"
        with pytest.raises(Exception, match=r"(?i)frames refused|invalid dimensions|guard failed|expected input"):
            run(torch.rand(1, FRAMES + 1, 3, 34, 50))


@pytest.mark.slow
@pytest.mark.parametrize("form", SUFFIXES)
@pytest.mark.parametrize("name", ["vsrpp", "plugin"])
def test_fp16_is_inside_and_fp32_outside(
    config_of: Callable[[str], dict[str, Any]], tmp_path: Path, name: str, form: str
) -> None:
    config = config_of(name)
    report = exported(config, tmp_path, form, fp16=True)
    assert 1e-8 < report["max_abs_difference"] <= 2e-2
    if form == "onnx":
        import onnx

        model = onnx.load(report["path"])
        weights = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
        assert onnx.TensorProto.FLOAT16 in weights
        ends = (model.graph.input[0], model.graph.output[0])
        assert {value.type.tensor_type.elem_type for value in ends} == {onnx.TensorProto.FLOAT}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torchscript", "pt2"])
def test_a_window_gives_the_middle_frame(config_of: Callable[[str], dict[str, Any]], tmp_path: Path, form: str) -> None:
    config, frames = config_of("vsrpp"), torch.rand(1, 3, 3, 40, 36)
    report = exported(config, tmp_path, form, frames=3, windowed=True)
    run = load(Path(report["path"]), ExportRequest(form=form, frames=3, windowed=True), config)
    with torch.no_grad():
        assert (run(frames.flatten(1, 2)) - built(config)(frames)[:, 1]).abs().max() <= 1e-5
    if form == "onnx":
        assert_vs_mlrt_reads(Path(report["path"]))
        run_guide_for_vapoursynth(Path(report["path"]), tmp_path, built(config))


def assert_vs_mlrt_reads(file: Path) -> None:
    """vs-mlrt puts N = 1 and the tile's size into the file and needs the output's size from the runtime."""
    import onnx
    import onnxruntime

    model = onnx.load(file)
    (shape, out) = (value.type.tensor_type.shape.dim for value in (model.graph.input[0], model.graph.output[0]))
    for place, size in ((0, 1), (2, 48), (3, 64)):
        shape[place].dim_value = size
        out[place].ClearField("value")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 9, 48, 64]
    assert session.get_outputs()[0].shape == [1, 3, 96, 128]


# ---- the guide
def snippet(heading: str) -> str:
    """The Python code under a heading of the guide."""
    return re.search(rf"## {heading}.*?```python\n(.*?)```", GUIDE, re.DOTALL).group(1)  # type: ignore[union-attr]


class Clip(list):
    """What the guide's script uses of VapourSynth's clips: a list of (3, h, w) frames."""

    resize = property(lambda self: types.SimpleNamespace(Bicubic=lambda **_: self))

    def __getitem__(self, place: Any) -> Clip:
        return Clip(super().__getitem__(place) if isinstance(place, slice) else [super().__getitem__(place)])

    def __add__(self, other: Any) -> Clip:
        return Clip([*self, *other])

    def __mul__(self, times: Any) -> Clip:
        return Clip(list(self) * times)

    def set_output(self) -> None:
        shown.append(self)


shown: list[Clip] = []


def run_guide_for_vapoursynth(file: Path, folder: Path, network: nn.Module) -> None:
    """With a stand-in for VapourSynth and vs-mlrt that stacks the clips' planes, as vs-mlrt does, every frame is right."""
    import onnxruntime

    clip = Clip(np.random.default_rng(0).random((4, 3, 16, 20), dtype=np.float32))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def inference(clips: list[Clip], path: str, *, backend: Any, input_name: str) -> Clip:
        windows = [np.concatenate(list(planes))[None] for planes in zip(*map(list, clips), strict=True)]
        return Clip(session.run(None, {input_name: window})[0][0] for window in windows)

    core = types.SimpleNamespace(bs=types.SimpleNamespace(VideoSource=lambda _: clip))
    modules = {
        "vapoursynth": types.SimpleNamespace(core=core, RGBS=0, YUV420P10=0),
        "vsmlrt": types.SimpleNamespace(inference=inference, Backend=types.SimpleNamespace(ORT_CUDA=lambda: None)),
    }
    code = snippet("VapourSynth")
    assert "FRAMES = 5" in code
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        exec(compile(code.replace("FRAMES = 5", "FRAMES = 3"), "guide", "exec"), {})
    padded = torch.from_numpy(np.stack([clip.copy()[0], *list(clip), list(clip)[-1]]))
    with torch.no_grad():
        expected = [network(padded[None, n : n + 3])[0, 1].numpy() for n in range(4)]
    assert np.abs(np.stack(list(shown[-1])) - np.stack(expected)).max() <= 1e-5


@pytest.mark.slow
def test_onnx_runtime_s_snippet_and_the_example_run_on_a_file_for_them(
    config_of: Callable[[str], dict[str, Any]], tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    config = config_of("vsrpp")
    monkeypatch.chdir(tmp_path)
    Path(exported(config, tmp_path, "onnx", frames=4)["path"]).rename("network.onnx")
    names: dict[str, Any] = {}
    exec(compile(snippet("ONNX Runtime"), "guide", "exec"), names)
    assert names["pictures"].shape == (1, 4, 3, 180, 320) and names["pictures"].dtype == np.uint8
    example = ROOT / "examples/upscale_onnxruntime.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 45
    assert set(re.findall(r"^import (\w+)", example.read_text(encoding="utf-8"), re.MULTILINE)) == {
        "av", "itertools", "numpy", "onnxruntime", "sys"
    }  # fmt: skip
    source = [frame.to_ndarray(format="rgb24") for frame in av.open(str(tiny_clip)).decode(video=0)]
    done = subprocess.run(
        [sys.executable, str(example), "network.onnx", str(tiny_clip), "out.mkv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = [frame.to_ndarray(format="rgb24") for frame in av.open("out.mkv").decode(video=0)]
    assert len(made) == len(source)
    height, width = source[0].shape[:2]
    assert all(frame.shape == (2 * height, 2 * width, 3) for frame in made)
    for frame, small in zip(made, source, strict=True):
        assert np.abs(frame[::2, ::2].astype(int) - small).mean() < 40, "in the clip's order"


def test_the_line_for_trtexec_names_the_input() -> None:
    shapes = re.findall(rf"--(?:min|opt|max)Shapes={INPUT}:(\S+)", GUIDE)
    assert [[int(size) for size in shape.split("x")][:3] for shape in shapes] == [[1, forms.FRAMES, 3]] * 3
    assert f"`{OUTPUT}`" in GUIDE and f"opset {forms.OPSET}" in GUIDE


# ---- what is refused
def test_a_file_that_differs_is_refused_and_removed(
    config_of: Callable[[str], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("plugin")
    traced = writers.Traceable.forward
    monkeypatch.setattr(writers.Traceable, "forward", lambda self, frames: traced(self, frames) + 2e-4)
    with pytest.raises(
        ProofFailed, match=r"differs from the network by up to 0\.0002 on 2 frames of 44×36; the limit is"
    ):
        exported(config, tmp_path, "torchscript")
    assert not list(tmp_path.glob("*out*"))


class Frozen(nn.Module):
    """Computes with NumPy from the frame size."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.weight = 2, nn.Parameter(torch.ones(1))

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        brighter = torch.from_numpy(np.linspace(0, 1, lr.shape[-1] * 2, dtype=np.float32))
        return lr.repeat_interleave(2, -1).repeat_interleave(2, -2) * self.weight + brighter


@pytest.mark.parametrize("form", ["torchscript", pytest.param("pt2", marks=pytest.mark.slow)])
def test_a_network_that_computes_outside_torch_is_refused_in_one_line(tmp_path: Path, form: str) -> None:
    request, config = ExportRequest(form=form, frames=1), {"network": "vsrpp", "scale": 2, "n_feats": 4, "n_blocks": 1}
    with pytest.raises((Refused, ProofFailed)) as caught:
        export(Frozen().eval(), config, request, tmp_path / f"out{SUFFIXES[form]}", run_id="r", step=1)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"form": "pt2", "name": "a.onnx"}, "refused.export.suffix"),
        ({"form": "pt2", "frames": 0}, "refused.export.frames"),
        ({"form": "pt2", "frames": 65}, "refused.export.frames"),
        ({"form": "pt2", "frames": 4, "windowed": True}, "refused.export.frames_even"),
        ({"form": "safetensors", "frames": 7}, "refused.export.weights_only"),
        ({"form": "safetensors", "windowed": True}, "refused.export.weights_only"),
        ({"form": "safetensors", "benchmark": True}, "refused.export.weights_only"),
    ],
)
def test_a_request_without_meaning_is_refused_before_anything_is_loaded(options: dict[str, Any], code: str) -> None:
    given = {"frames": None, "windowed": False, "fp16": False, "benchmark": False, **options}
    name = given.pop("name", f"a{SUFFIXES[given['form']]}")
    with pytest.raises(Refused) as caught:
        request_of(given.pop("form"), Path(name), **given)
    assert caught.value.reason_code == code


def test_without_the_extra_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "find_spec", lambda name: None if name == "onnxscript" else object())
    none: dict[str, Any] = {"frames": None, "windowed": False, "fp16": False, "benchmark": False}
    with pytest.raises(
        Refused, match=r"^ONNX export refused: onnxscript not installed\. Install the extra: pip install o"
    ):
        request_of("onnx", Path("a.onnx"), **none)
    assert request_of("pt2", Path("a.pt2"), **none).frames == 7


# ---- the parts
def test_safetensors_are_the_same_bytes_twice_with_sorted_keys(tmp_path: Path) -> None:
    import safetensors

    weights = {"b": torch.rand(3, 2), "a": torch.rand(5).half(), "c": torch.arange(3)}
    metadata = {"z": "1", "modelspec.title": "ä"}
    for name, order in (("one", list(weights)), ("two", list(reversed(weights)))):
        write_safetensors(tmp_path / name, {key: weights[key] for key in order}, metadata)
    text = (tmp_path / "one").read_bytes()
    assert text == (tmp_path / "two").read_bytes()
    length = int.from_bytes(text[:8], "little")
    header = json.loads(text[8 : 8 + length])
    assert list(header) == sorted(header) and list(header["__metadata__"]) == sorted(header["__metadata__"])
    with safetensors.safe_open(tmp_path / "one", "pt") as file:
        assert file.metadata() == {**metadata, "modelspec.hash_sha256": header["__metadata__"]["modelspec.hash_sha256"]}
        assert all(torch.equal(file.get_tensor(key), value) for key, value in weights.items())


@pytest.mark.slow
def test_a_safetensors_export_names_its_architecture(
    config_of: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    import safetensors

    config = config_of("vsrpp")
    report = exported(config, tmp_path, "safetensors")
    assert report["max_abs_difference"] == 0 and report["frames"] is None
    with safetensors.safe_open(report["path"], "pt") as file:
        header = file.metadata()
    assert header["modelspec.architecture"] == "vsrpp-v2-x2" and header["modelspec.title"] == "vsrpp ×2, tiny, step 3"
    assert models.build(json.loads(header["vsrpp.network"])).state_dict().keys() == built(config).state_dict().keys()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_traced_bicubic_skip_holds_for_every_size(scale: int) -> None:
    skip = BicubicUpscale(scale)
    traced = torch.jit.trace(skip, torch.rand(1, 2, 3, 9, 7), check_trace=False)
    for height, width in ((2, 3), (9, 7), (31, 64)):
        pictures = torch.rand(2, 1, 3, height, width)
        assert (traced(pictures) - skip(pictures)).abs().max() <= 1e-6


@pytest.mark.slow
def test_a_traced_flow_holds_for_every_size() -> None:
    torch.manual_seed(0)
    flow = SpyNet().eval()
    with torch.no_grad():
        traced = torch.jit.trace(flow, (torch.rand(1, 3, 40, 72), torch.rand(1, 3, 40, 72)), check_trace=False)
        for height, width in ((32, 32), (20, 50), (65, 33)):
            pair = torch.rand(1, 3, height, width), torch.rand(1, 3, height, width)
            assert (traced(*pair) - flow(*pair)).abs().max() <= 1e-5


def test_frames_to_compare_need_no_sample_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "find_plain", lambda _: (_ for _ in ()).throw(Refused("no clip")))
    clip, name = sample_frames(3, 4)
    assert name == "synthetic" and clip.shape == (1, 3, 3, 64, 81)
