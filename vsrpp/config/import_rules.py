"""The rules by which options of BasicSR and mmagic become parameters of VSR++, in the order of the written file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from vsrpp.config import schema
from vsrpp.config.option_files import BASICSR, Options
from vsrpp.config.option_roles import (
    DEGRADATIONS,
    NETWORK_DEFAULTS,
    NETWORKS,
    OPTIMIZERS,
    PIPELINE_ALIKE,
    PIPELINE_REASONS,
    PIXEL_LOSSES,
    ROLES,
)
from vsrpp.config.text import one_of
from vsrpp.safe_text import printable

LEAST_MIN_LR = 1e-8
"""The least that min_lr can be."""
NO_CLIPPING = 10.0
"""The highest grad_clip, which no normal step reaches."""
_REALISTIC = "blur, resizing, noise and JPEG are drawn with parameters of our own, without video codecs"
_GPUS_IN_NAME = re.compile(r"(?<![0-9])(\d{1,3})xb\d+")
"""mmagic names its configs by GPUs and batch: `basicvsr_2xb4_reds4.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of one option."""

    theirs: str
    value: Any
    place: str = ""
    """`train.yml:14`; empty if the file does not set it, so that their default counts."""
    ours: Mapping[str, Any] = field(default_factory=dict)
    fate: Literal["maps", "differs", "none"] = "none"
    note: str = ""
    """What differs, or why there is no counterpart."""

    def comment(self) -> str:
        """For the line of the written file."""
        place = f"{self.place} {self.theirs}" if self.place else f"not set: {self.theirs}"
        return printable(" ".join((f"{place}; {self.note}" if self.note else place).split()))

    def refused(self, why: str) -> Row:
        """As an option that has no counterpart, because our value is not allowed."""
        return replace(self, ours={}, fate="none", note=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An option of the file."""

    key: str
    value: Any
    place: str


class Reading:
    """An option file while it is translated."""

    def __init__(self, *, kind: str, block: Options, file: Path, gpus: int | None) -> None:
        self.kind, self.file, self.gpus = kind, file, gpus
        self.rows: list[Row] = []
        self.ours: dict[str, Any] = {}
        """Parameters set so far."""
        self._block = block
        self._taken: set[str] = set()

    def find(self, role: str) -> Found | None:
        """The option with this meaning; None if the file does not have it, or says null."""
        for key in ROLES[self.kind].get(role, ()):
            found = self._block.at(key)
            if found is None:
                continue
            self._taken.add(key)
            if found[0] is not None:
                return Found(key=key, value=found[0], place=found[1])
            self.rows.append(
                Row(theirs=key, value=None, place=found[1], fate="maps", note="null: not set here, either")
            )
        return None

    def took(self, key: str) -> bool:
        """Whether a rule has dealt with this key, or with a block around it."""
        parts = key.split(".")
        return any(".".join(parts[:n]) in self._taken for n in range(1, len(parts) + 1))

    def maps(self, found: Found, ours: Mapping[str, Any], note: str = "", *, differs: bool = False) -> None:
        self.ours |= ours
        fate: Literal["maps", "differs"] = "differs" if differs else "maps"
        self.rows.append(Row(theirs=found.key, value=found.value, place=found.place, ours=ours, fate=fate, note=note))

    def none(self, found: Found, why: str) -> None:
        self.rows.append(Row(theirs=found.key, value=found.value, place=found.place, note=why))

    def default(self, role: str, ours: Mapping[str, Any], note: str) -> None:
        """Set what their code does where the file says nothing, as our preset does something else."""
        self.ours |= ours
        places = ROLES[self.kind].get(role)
        self.rows.append(Row(theirs=places[0] if places else role, value=None, ours=ours, fate="differs", note=note))


def _number(value: Any) -> Any:
    """5e3 as 5000; anything else as it is, for the schema to refuse."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(reading: Reading, role: str, key: str | None = None, note: str = "") -> None:
    found = reading.find(role)
    if found is not None:
        reading.maps(found, {key or role: _number(found.value) if role != "name" else str(found.value)}, note)


def _run(reading: Reading) -> None:
    for role in ("name", "seed", "scale"):
        _plain(reading, role)


def _network(reading: Reading) -> None:
    found = reading.find("network")
    if found is None:
        return
    parameter = schema.parameter("network")
    choices = parameter.choices if parameter is not None else ()
    ours = NETWORKS.get(str(found.value))
    if ours not in choices:
        reading.none(
            found, f"VSR++ does not have this network, but {one_of(choices)}: set network, n_feats and n_blocks"
        )
        return
    reading.maps(found, {"network": ours})
    for key, value in NETWORK_DEFAULTS[str(found.value)].items():
        size = reading.find(key)
        if size is None:
            reading.default(key, {key: value}, "the default there")
        else:
            reading.maps(size, {key: _number(size.value)})


def _weights(reading: Reading) -> None:
    whole, flow, strict = reading.find("weights"), reading.find("flow_weights"), reading.find("strict")
    chosen = whole or flow
    if whole is not None and flow is not None:
        reading.none(flow, f"{whole.key} has the weights of the whole network, which is what pretrained names")
    if chosen is not None and "network" not in reading.ours:
        reading.none(chosen, "weights of a network that VSR++ does not have")
    elif chosen is not None and "://" in str(chosen.value):
        reading.none(chosen, "nothing is downloaded: download it and set pretrained to the file")
    elif chosen is not None:
        what = "the whole network" if whole else "the flow network, SPyNet"
        reading.maps(
            chosen,
            {"pretrained": str(chosen.value)},
            f"weights of {what}; a relative path starts at the current folder",
        )
    if strict is not None and strict.value is False and "pretrained" in reading.ours:
        reading.maps(strict, {"pretrained_partial": True})
    elif strict is not None:
        reading.maps(strict, {}, "every key must match, unless pretrained_partial is set")


def _data(reading: Reading) -> None:
    kind, root, gt, lq = (reading.find(role) for role in ("dataset", "data_root", "gt", "lq"))
    val_root, val_gt, val_lq = (reading.find(role) for role in ("val_root", "val_gt", "val_lq"))
    about = " ".join(str(one.value) for one in (kind, root, gt) if one is not None).lower()
    layout = "reds" if "reds" in about else "vimeo" if "vimeo" in about else ""
    main = gt or root
    if kind is not None and "RealESRGAN" in str(kind.value):
        reading.maps(kind, {"degradation": "realistic"}, _REALISTIC, differs=True)
    elif kind is not None:
        reading.maps(kind, {}, "what the data is, is found out from its folders (`vsrpp data PATH`)")
    if root is not None and main is not root:
        reading.maps(root, {}, "the beginning of the paths below")
    if main is None:
        return
    path = _joined(root, gt)
    if layout:
        above = path.parent if path.name in {"train_sharp", "sequences", "GT", "train_sharp_sub"} else path
        contains = "train_sharp" if layout == "reds" else "sequences/ and the lists"
        reading.maps(main, {"data": str(above)}, f"the folder that contains {contains}")
        if lq is not None:
            _small_frames(reading, lq)
    elif lq is None:
        reading.maps(main, {"data": str(path)})
    else:
        pair: dict[str, Any] = {"path": str(path), "lq": str(_joined(root, lq))}
        reading.maps(main, {"data": {"train": [pair]}}, "ground truth with its small frames")
        reading.maps(lq, {}, "lq of data")
    _validation(reading, layout, val_root, val_gt, val_lq)


def _joined(root: Found | None, part: Found | None) -> PurePosixPath:
    return PurePosixPath(*(str(one.value) for one in (root, part) if one is not None))


def _small_frames(reading: Reading, lq: Found) -> None:
    name = PurePosixPath(str(lq.value)).name.upper()
    ours = DEGRADATIONS.get(name, "bicubic" if name == "TRAIN_SHARP_BICUBIC" else None)
    if ours is None:
        reading.none(lq, "small frames of this dataset are read from its usual folders, or made by degradation")
    else:
        reading.maps(lq, {"degradation": ours}, "read from the usual folder beside the ground truth, else made")


def _validation(reading: Reading, layout: str, root: Found | None, gt: Found | None, lq: Found | None) -> None:
    parts = [one for one in (root, gt, lq) if one is not None]
    if gt is None and root is None:
        return
    path = _joined(root, gt)
    if layout == "reds" and "reds" in str(path).lower():
        for part in parts:
            reading.maps(
                part, {}, "REDS4 (clips 000, 011, 015, 020 of data) is used for validation without being named"
            )
        return
    main = gt or root
    assert main is not None
    for part in parts:
        if part is not main:
            reading.maps(
                part, {}, "small frames are found beside the ground truth" if part is lq else "the path's beginning"
            )
    above = path.parent if path.name.upper() in {"GT", "HR", "HQ"} else path
    small = "" if above != path else "; must hold ground truth alone, or GT beside LQ, BIx4 or BDx4"
    reading.maps(main, {"val_data": str(above)}, f"validates on it whole{small}", differs=bool(small))


def _samples(reading: Reading) -> None:
    steps = reading.find("pipeline")
    pipeline = (
        [one for one in steps.value if isinstance(one, Options)] if steps and isinstance(steps.value, list) else []
    )
    mirror = reading.find("mirror")
    mirrored = any(one.get("type") == "MirrorSequence" for one in pipeline) or bool(mirror and mirror.value)
    frames = reading.find("num_frames")
    if frames is not None:
        count = _number(frames.value)
        vimeo = "vimeo" in str(reading.ours.get("data", "")).lower()
        count = 7 if vimeo and count == -1 else count
        other = mirrored and not vimeo
        note = "the clip forwards and backwards" if mirrored else ""
        note = (
            "there, half as many, forwards and backwards; only Vimeo-90K's clips are mirrored here" if other else note
        )
        doubled = count * 2 if mirrored and isinstance(count, int) else count
        reading.maps(frames, {"num_frames": doubled}, note, differs=other)
    if mirror is not None:
        note = "num_frames is twice the clip" if mirror.value else "clips are not mirrored while num_frames fits"
        reading.maps(mirror, {}, note)
    _plain(reading, "crop_size")
    for role in ("frame_interval", "reverse_time"):
        found = reading.find(role)
        if found is not None:
            listed = ", ".join(map(str, found.value)) if isinstance(found.value, list) else found.value
            reading.maps(found, {role: str(listed) if role == "frame_interval" else listed})
    if steps is not None:
        _pipeline(reading, steps, pipeline)
    elif reading.kind == BASICSR:
        _flips(reading)


def _flips(reading: Reading) -> None:
    flip, rotate = reading.find("flip"), reading.find("transpose")
    if flip is not None:
        alike = rotate is not None and bool(rotate.value) == bool(flip.value)
        note = "" if alike else "there: left-right by this, up-down and transposing by use_rot"
        reading.maps(flip, {"flip": bool(flip.value)}, note, differs=not alike)
    if rotate is not None:
        reading.maps(rotate, {"transpose": bool(rotate.value)})


def _pipeline(reading: Reading, steps: Found, pipeline: list[Options]) -> None:
    kinds = [str(one.get("type")) for one in pipeline]
    flips = {str(one.get("direction")) for one in pipeline if one.get("type") == "Flip" and one.get("flip_ratio")}
    random = sorted(
        {kind for kind in kinds if kind.startswith("Random") and kind not in {"RandomTransposeHW", *PIPELINE_REASONS}}
    )
    told: set[str] = set()
    for step, kind in zip(pipeline, kinds, strict=True):
        found = Found(
            key=f"{steps.key}.{kind}", value=_short(step), place=next(iter(step.places.values()), steps.place)
        )
        if kind in told:
            continue
        told.add(kind)
        if kind in {"PairedRandomCrop", "FixedCrop"}:
            size = step.get("gt_patch_size", step.get("crop_size"))
            reading.maps(found, {"crop_size": size[0] if isinstance(size, list) and size else size})
        elif kind == "GenerateSegmentIndices":
            listed = step.get("interval_list")
            reading.maps(found, {"frame_interval": ", ".join(map(str, listed))} if isinstance(listed, list) else {})
        elif kind == "TemporalReverse":
            reading.maps(found, {"reverse_time": bool(step.get("reverse_ratio"))})
        elif kind == "Flip":
            both = len(flips) == 2
            reading.maps(
                found,
                {"flip": bool(flips)},
                "" if both else "here in both directions",
                differs=not both and bool(flips),
            )
        elif kind == "RandomTransposeHW":
            reading.maps(found, {"transpose": bool(step.get("transpose_ratio", 0.5))})
        elif kind == "MirrorSequence":
            reading.maps(found, {}, "num_frames is twice the clip")
        elif kind in random or kind == "DegradationsWithShuffle":
            note = (
                "blur, resizing, noise and JPEG are drawn with parameters of our own, once each, without video codecs"
            )
            reading.maps(found, {"degradation": "realistic"}, note, differs=True)
        elif kind in PIPELINE_ALIKE:
            reading.maps(found, {}, "what reading data always does")
        else:
            reading.none(found, PIPELINE_REASONS.get(kind, "no such step"))
    for key, kind in (("flip", "Flip"), ("transpose", "RandomTransposeHW"), ("reverse_time", "TemporalReverse")):
        if kind not in kinds:
            reading.rows.append(
                Row(
                    theirs=f"{steps.key}.{kind}", value=None, ours={key: False}, fate="maps", note="not in the pipeline"
                )
            )


def _short(block: Options) -> str:
    return ", ".join(f"{key}={value}" for key, value in block.items() if key != "type")


def _loader(reading: Reading) -> None:
    workers, batch, gpus = reading.find("num_workers"), reading.find("batch_size"), reading.find("gpus")
    counts = reading.find("accumulate")
    named = _GPUS_IN_NAME.search(reading.file.name)
    number, source = 1, "GPU, as the file does not say how many (--gpus N)"
    if reading.gpus is not None:
        number, source = reading.gpus, "GPUs, by --gpus"
    elif gpus is not None and isinstance(gpus.value, int):
        number, source = max(1, gpus.value), f"GPUs, by {gpus.key}"
    elif gpus is None and named is not None:
        number, source = int(named[1]), "GPUs, by the file's name"
    if gpus is not None:
        reading.maps(
            gpus, {"device": "cpu"} if gpus.value == 0 else {}, "started with `vsrpp train --devices N`", differs=True
        )
    if batch is not None:
        times = counts.value if counts is not None and isinstance(counts.value, int) else 1
        each = _number(batch.value)
        total = each * number * times if isinstance(each, int) else each
        reading.maps(
            batch, {"batch_size": total}, f"of all processes together: {each} × {number} {source}", differs=True
        )
        if counts is not None:
            reading.maps(counts, {"accumulate": counts.value}, "batch_size counts all micro-batches", differs=True)
    if workers is not None:
        reading.maps(workers, {"num_workers": _number(workers.value)}, "of each process, as there")


def _optimizer(reading: Reading) -> None:
    _plain(reading, "max_steps")
    kind, betas = reading.find("optimizer"), reading.find("betas")
    if kind is not None:
        ours = OPTIMIZERS.get(str(kind.value))
        if ours is None:
            reading.none(kind, f"there is no such optimizer, but {one_of(tuple(OPTIMIZERS.values()))}")
        else:
            reading.maps(kind, {"optimizer": ours})
    _plain(reading, "lr", "max_lr")
    _plain(reading, "weight_decay")
    if betas is not None and isinstance(betas.value, list) and len(betas.value) == 2:
        reading.maps(betas, {"beta1": betas.value[0], "beta2": betas.value[1]})
    elif betas is not None:
        reading.none(betas, "expected two numbers")
    else:
        reading.default("betas", {"beta1": 0.9, "beta2": 0.999}, "torch's default there")
    amp = reading.find("amp")
    if amp is not None:
        fp16 = "Amp" in str(amp.value)
        reading.maps(
            amp, {"precision": "fp16" if fp16 else "fp32"}, "bf16 is better on GPUs that have it" if fp16 else ""
        )
    clip = reading.find("grad_clip")
    if clip is not None:
        reading.maps(clip, {"grad_clip": clip.value})
    else:
        reading.default("grad_clip", {"grad_clip": NO_CLIPPING}, "none there; too high to clip a normal step")


def _schedule(reading: Reading) -> None:
    warmup = reading.find("warmup")
    if warmup is not None and isinstance(warmup.value, (int, float)) and warmup.value > 0:
        reading.maps(warmup, {"warmup_steps": _number(warmup.value)}, "rises from min_lr; there, from 0", differs=True)
    elif warmup is not None:
        reading.maps(warmup, {"warmup_steps": 0}, "no warm-up")
    else:
        reading.default("warmup", {"warmup_steps": 0}, "none there")
    found = reading.find("scheduler")
    if found is None:
        reading.default("scheduler", {"lr_schedule": "constant"}, "none there: the rate stays")
        return
    listed = found.value if isinstance(found.value, list) else [found.value]
    blocks = [one for one in listed if isinstance(one, Options)]
    for number, block in enumerate(blocks):
        name = f"{found.key}.{number}" if len(blocks) > 1 else found.key
        _scheduler(reading, Found(key=name, value=block, place=found.place), first=number == 0)


def _scheduler(reading: Reading, found: Found, *, first: bool) -> None:
    block: Options = found.value

    def part(name: str) -> Found:
        return Found(key=f"{found.key}.{name}", value=block[name], place=block.places.get(name, found.place))

    name = "type" if "type" in block else "policy"
    if name not in block:
        reading.none(replace(found, value=_short(block)), "says no type")
        return
    kind = str(block[name]).removesuffix("LR")
    told = {name, "by_epoch"}
    periods = [_number(one) for one in block.get("periods", ())] or [
        _number(block[one]) for one in ("T_max",) if one in block
    ]
    if kind in {"MultiStep", "MultiStepRestart", "Step"} and first:
        reading.maps(part(name), {"lr_schedule": "multi_step"})
        for theirs, ours in (("milestones", "lr_milestones"), ("step", "lr_milestones"), ("gamma", "lr_gamma")):
            if theirs in block and not (theirs == "step" and not isinstance(block[theirs], list)):
                value = block[theirs]
                told.add(theirs)
                reading.maps(
                    part(theirs),
                    {ours: ", ".join(str(_number(one)) for one in value) if isinstance(value, list) else value},
                )
        reading.default(
            "min_lr", {"min_lr": LEAST_MIN_LR}, "no floor there: milestones multiply the rate's height above it"
        )
    elif (
        kind in {"CosineAnnealingRestart", "CosineRestart", "CosineAnnealing", "TrueCosineAnnealing"}
        and periods
        and first
    ):
        weights = block.get("restart_weights", [1])
        one = len(periods) == 1 and periods[0] == reading.ours.get("max_steps") and weights == [1]
        told |= {"periods", "T_max", "restart_weights"}
        key = part("periods" if "periods" in block else "T_max")
        if one:
            reading.maps(part(name), {"lr_schedule": "cosine"})
            reading.maps(key, {}, "one period, as long as the run: max_steps")
        else:
            reading.maps(part(name), {"lr_schedule": "cosine_restarts"})
            reading.maps(
                key,
                {"lr_periods": ", ".join(map(str, periods))},
                "a restart takes effect one step earlier",
                differs=True,
            )
        if "restart_weights" in block:
            shown = {} if one else {"lr_restart_weights": ", ".join(map(str, weights))}
            reading.maps(part("restart_weights"), shown)
    elif kind == "Constant" and first:
        reading.maps(part(name), {"lr_schedule": "constant"})
    else:
        why = (
            "one schedule after a warm-up: see lr_schedule"
            if not first
            else "no such schedule; choose one by lr_schedule"
        )
        reading.none(replace(found, value=_short(block)), f"{block[name]}: {why}")
        return
    for theirs in ("eta_min", "min_lr"):
        if theirs in block:
            told.add(theirs)
            floor = max(float(_number(block[theirs])), LEAST_MIN_LR)
            raised = floor != _number(block[theirs])
            reading.maps(part(theirs), {"min_lr": floor}, "the lowest that there is" if raised else "", differs=raised)
    for theirs in block:
        if theirs not in told:
            reading.none(part(theirs), "the schedule has no such option")


def _flow(reading: Reading) -> None:
    freeze, ratio = reading.find("flow_freeze"), reading.find("flow_lr")
    if reading.ours.get("network") not in ("basicvsr", "basicvsrpp"):
        for found in (freeze, ratio):
            if found is not None:
                reading.none(found, "the network has no optical flow")
        return
    if ratio is not None:
        reading.maps(ratio, {"flow_lr_ratio": ratio.value})
    else:
        reading.default("flow_lr", {"flow_lr_ratio": 1.0}, "as the rest there")
    if freeze is None or not isinstance(freeze.value, (int, float)) or freeze.value <= 0:
        reading.default("flow_freeze", {"flow_freeze_steps": 0}, "not frozen there")
    else:
        notes = ["one step more than there"] if reading.kind == BASICSR else []
        notes += [] if "pretrained" in reading.ours else ["set pretrained to SPyNet's weights, or this to 0"]
        ours = {"flow_freeze_steps": _number(freeze.value)}
        reading.maps(freeze, ours, "; ".join(notes), differs=bool(notes))


def _average(reading: Reading) -> None:
    decay, hooks = reading.find("ema_decay"), reading.find("hooks")
    listed = hooks.value if hooks is not None and isinstance(hooks.value, list) else []
    for hook in listed:
        momentum = _momentum(hook)
        if hooks is not None and momentum is not None:
            value = momentum if momentum > 0.5 else 1 - momentum
            decay = Found(key=f"{hooks.key}.{hook['type']}", value=momentum, place=next(iter(hook.places.values())))
            reading.maps(decay, {"ema_decay": value})
        elif hooks is not None and isinstance(hook, Options):
            reading.none(
                Found(key=f"{hooks.key}.{hook.get('type')}", value=_short(hook), place=hooks.place), "no such hook"
            )
    if decay is None:
        reading.default("ema_decay", {"ema_decay": 0.0}, "no averaging there")
    elif reading.kind == BASICSR:
        reading.maps(decay, {"ema_decay": decay.value})


def _momentum(hook: Any) -> float | None:
    """Of mmagic's hook that averages weights; None for other hooks. Its versions mean either decay or 1 - decay."""
    if not isinstance(hook, Options) or "MovingAverage" not in str(hook.get("type")):
        return None
    settings = hook.get("interp_cfg")
    value = settings.get("momentum") if isinstance(settings, Options) else hook.get("momentum")
    return float(value) if isinstance(value, (int, float)) else None


def _losses(reading: Reading) -> None:
    pixel, perceptual = reading.find("pixel_loss"), reading.find("perceptual")
    if pixel is not None and isinstance(pixel.value, Options):
        block = pixel.value
        ours = PIXEL_LOSSES.get(str(block.get("type")))
        for name, value in block.items():
            found = Found(key=f"{pixel.key}.{name}", value=value, place=block.places.get(name, pixel.place))
            if name == "type" and ours is not None:
                reading.maps(found, {"pixel_loss": ours})
            elif name == "type":
                reading.none(found, f"no such pixel loss, but {one_of(tuple(PIXEL_LOSSES.values()))}")
            elif name == "loss_weight":
                other = _number(value) != 1
                note = (
                    "weights sum to 1 here; with Adam, the scale of the loss does not change the steps" if other else ""
                )
                reading.maps(found, {"l1_weight": 1.0}, note, differs=other)
            elif name == "reduction":
                other = value != "mean"
                reading.maps(
                    found,
                    {},
                    "always the mean; with Adam, the scale does not change the steps" if other else "",
                    differs=other,
                )
            else:
                reading.none(found, "Charbonnier's epsilon is 1e-12")
    if perceptual is not None:
        why = (
            "set perceptual_weights to torchvision's VGG19 file, and perceptual_weight and l1_weight so that all weights sum to"
            " 1; its layers are fixed"
        )
        value = _short(perceptual.value) if isinstance(perceptual.value, Options) else perceptual.value
        reading.none(replace(perceptual, value=value), why)
    if "l1_weight" not in reading.ours:
        reading.default("pixel_loss", {"l1_weight": 1.0}, "the pixel loss alone")
    reading.default("ms_weight", {"ms_weight": 0.0, "grad_weight": 0.0}, "no such terms there")


def _rhythm(reading: Reading) -> None:
    for role in ("validate_every", "checkpoint_every", "keep_last", "log_every"):
        _plain(reading, role)
    reading.default(
        "adaptive", {"adaptive": False}, "the schedule as written; true lets the controller act on plateaus"
    )


RULES: tuple[Callable[[Reading], None], ...] = (
    _run, _network, _weights, _data, _samples, _loader, _optimizer, _schedule, _flow, _average, _losses, _rhythm,
)  # fmt: skip
"""Each adds rows to the reading. Later ones may look at what earlier ones have set."""
