"""Describes an event in words, for panel, terminal, command line and MLflow: what happened, who did it, why.

A narration consists of phrases (`vsrpp.control.phrases`), which panel and terminal render in their language
(`narration.brief(t)`); the command line, MLflow and alerts in English. Text written by people and error messages are shown
as recorded; a refused value is described from its reason code. Nothing here raises, whatever an event contains: records
outlive versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from vsrpp import config, formats
from vsrpp.control.delivery_status import KINDS
from vsrpp.control.phrases import Explanation, ParameterChanges, ParameterValue, Part, Phrase, PhraseList, verbatim
from vsrpp.formats import finite
from vsrpp.store import EVENT_TYPES, Event
from vsrpp.texts import Texts

GROUPS: dict[str, frozenset[str]] = {
    "edits": frozenset({"config_applied", "config_refused", "config_reverted", "config_confirmed", "rolled_back"}),
    "plateau": frozenset({"plateau_detected", "plateau_cleared", "safety_reset", "lr_floor", "phase_changed"}),
    "validation": frozenset(
        {"validated", "recurrence_unstable", "below_bicubic", "quality_fell", "validation_recovered"}
    ),
    "checkpoint": frozenset({"checkpoint_saved", "checkpoint_failed"}),
    "life": frozenset({"started", "paused", "resumed", "restored", "rolled_back", "stopped", "finished", "failed"}),
    "faults": frozenset(
        {
            "non_finite", "bad_sample", "out_of_memory", "failed", "checkpoint_failed", "face_failed", "tracking_lost",
            "tracking_back",
            "output_lost", "output_back", "storage_back",
        }
    ),
}  # fmt: skip
"""Filters of a timeline -> the events shown; an event may belong to two."""
FILTERS = ("all", *GROUPS)
_TONES = {
    "config_applied": "good", "config_refused": "bad", "config_reverted": "warn", "config_confirmed": "good",
    "rolled_back": "warn", "plateau_detected": "warn", "plateau_cleared": "good", "safety_reset": "warn", "lr_floor": "warn",
    "validated": "info", "checkpoint_failed": "bad", "paused": "warn", "resumed": "good", "restored": "good",
    "failed": "bad", "non_finite": "bad", "out_of_memory": "bad", "tracking_lost": "warn", "tracking_back": "good",
    "face_failed": "warn", "bad_sample": "warn", "finished": "good", "output_lost": "warn", "output_back": "good",
    "storage_back": "good", "recurrence_unstable": "warn", "below_bicubic": "warn", "quality_fell": "warn",
    "validation_recovered": "good",
}  # fmt: skip
_SIGNS = {
    "config_applied": "⚙️", "config_refused": "⛔", "config_reverted": "↩", "config_confirmed": "✔",
    "plateau_detected": "▬", "plateau_cleared": "↘", "safety_reset": "⟲", "lr_floor": "⤓", "phase_changed": "◆", "validated": "👁",
    "checkpoint_saved": "●", "checkpoint_failed": "✖", "started": "▶", "paused": "⏸", "resumed": "▶", "restored": "✅",
    "rolled_back": "↶", "stopped": "■", "finished": "✔", "tracking_lost": "☁", "tracking_back": "☁", "failed": "✖",
    "non_finite": "✖", "bad_sample": "⚠️", "out_of_memory": "✖", "face_failed": "✖", "output_lost": "✖", "output_back": "✔",
    "storage_back": "✔", "recurrence_unstable": "⚠️", "below_bicubic": "⚠️", "quality_fell": "⚠️", "validation_recovered": "✔",
}  # fmt: skip
_WHY = {
    "warmed_up": ("warmup_steps",), "in_warmup": ("step", "warmup_steps"), "settled": ("settling_steps",),
    "safety": ("counter", "safety_threshold"), "adaptive_off": (), "not_finite": (),
    "blurred_plateau": ("counter", "patience", "sharpness", "sharpness_threshold"),
    "sharp": ("sharpness", "sharpness_threshold"), "time_over": ("phase_steps", "aggressive_patiences"),
    "cooled": ("phase_steps", "cooldown_duration"),
}  # fmt: skip
"""Condition of a phase's end -> the recorded figures that its sentence names."""
KNOWN: dict[str, tuple[str, ...]] = {
    "event": tuple(sorted(EVENT_TYPES)),
    "phase": ("warmup", "settling", "stable", "aggressive", "cooldown"),
    "saved": ("due", "best", "asked", "start", "stop", "failed", "end"),
    "signal": ("loss", "ema", "trend", "quality", "run"),
    "output": ("pictures", "frame_figures", "config_file", "tensorboard"),
    "trouble": KINDS,
    "origin": ("panel", "terminal", "cli", "api", "file", "mlflow", "probation", "non_finite"),
}
"""What a record may name and the texts have a word for, as `phase.stable`; any other name is shown as it is."""
BUILT_KEYS = {
    **{f"{kind}.{{}}": names for kind, names in KNOWN.items()},
    "why.{}": tuple(_WHY),
    "event.{}.{}": ("config_reverted.to", "config_reverted.from_to", "rolled_back.to", "rolled_back.from_to"),
    "event.{}.of": ("output_lost", "output_back", "validation_recovered"),
}
"""The keys put together here, for the test that holds catalogues and code against each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Narration:
    """One event in words."""

    headline: Phrase
    """What happened: `rolled back to step 600`."""
    details: tuple[Part, ...] = ()
    """Details: changes, metrics, an error."""
    who: Phrase | None = None
    """Who did it: `anna (panel)`; None for the run's own decisions."""
    reason: Part | None = None
    """Why: a person's words, or the run's own reason."""
    group: str = "life"
    """The colour group, one of GROUPS; faults take precedence."""
    tone: str = ""
    """`good`, `info`, `warn`, `bad`, or empty."""
    sign: str = "•"

    def detail(self, t: Texts) -> str:
        """The details, separated by commas; empty without any."""
        return ", ".join(text for part in self.details if (text := part.text(t)))

    def brief(self, t: Texts) -> str:
        """What happened in one line, without who and why; for an edit, only its changes."""
        headline, detail = self.headline.text(t), self.detail(t)
        if not detail:
            return headline
        return detail if self.headline.key == "event.config_applied" else f"{headline}: {detail}"

    def why(self, t: Texts) -> str:
        """The reason; empty without one."""
        return self.reason.text(t) if self.reason else ""

    def by(self, t: Texts) -> str:
        """Who did it; empty for the run itself."""
        return self.who.text(t) if self.who else ""


def narrate(event: Event) -> Narration:
    """The event in words."""
    data = event.data if isinstance(event.data, dict) else {}
    headline, details = _TELL.get(event.type, _tell_other)(event, data)
    return Narration(
        headline=headline, details=tuple(details), who=who(event), reason=_reason(event, data), group=group_of(event.type),
        tone=_TONES.get(event.type, ""), sign=_SIGNS.get(event.type, "•"),
    )  # fmt: skip


def matching(events: Iterable[Event], chosen: str) -> list[Event]:
    """The events of one of FILTERS, in order; all of them for any other name."""
    types = GROUPS.get(chosen)
    return [event for event in events if types is None or event.type in types]


def group_of(event_type: str) -> str:
    """The colour group of an event type; faults take precedence."""
    if event_type in GROUPS["faults"]:
        return "faults"
    return next((name for name, types in GROUPS.items() if event_type in types), "life")


def who(event: Event) -> Phrase | None:
    """`anna (panel)`, or only the origin."""
    if not event.origin:
        return verbatim(event.author) if event.author else None
    origin = _known("origin", event.origin)
    return Phrase("event.by", {"author": event.author, "origin": origin}) if event.author else origin


def phase(name: object) -> Phrase:
    """A phase of the controller, such as `stable`."""
    return _known("phase", name)


def steps(number: object) -> Phrase:
    """`1 step`, `50 steps`."""
    return Phrase("n_steps", {"n": formats.whole(number)})


def probation_terms(revert_if: object) -> Phrase:
    """When an edit on probation is reverted; a non-finite loss always reverts it."""
    return Phrase("probation.or_broken", {"when": str(revert_if)}) if revert_if else Phrase("probation.broken")


def _known(kind: str, name: object) -> Phrase:
    """`kind.name` of the texts if it is one of KNOWN, else the name as it is."""
    return Phrase(f"{kind}.{name}") if name in KNOWN[kind] else verbatim(name)


# ---- why
def _reason(event: Event, data: dict[str, Any]) -> Part | None:
    own = _own_reason(event.type, data)
    if own is not None:
        return own
    text = str(event.reason) if event.reason else ""
    if text and "because" in data:
        return _explained(text, data)
    if event.type == "phase_changed":
        text = text.removeprefix(f"{data.get('from')} → {data.get('to')}: ")
    return verbatim(text) if text else None


def _own_reason(event_type: str, data: dict[str, Any]) -> Phrase | None:
    """The run's own reason, built from recorded metrics so that it can be translated; None if they are missing."""
    if event_type == "phase_changed":
        return _why(str(data.get("condition")), data)
    if event_type == "safety_reset":
        return _why("safety", data)
    if event_type == "plateau_detected":
        return _filled("reason.plateau", data, ("counter", "patience"))
    if event_type == "lr_floor":
        return _filled("reason.lr_floor", data, ("lr_factor", "max_steps"))
    signals = data.get("signals")
    if event_type == "plateau_cleared" and isinstance(signals, list) and signals:
        return Phrase("reason.improved", {"signals": PhraseList(tuple(_known("signal", name) for name in signals))})
    if event_type == "stopped" and data.get("why") == "max_hours":
        return _filled("reason.max_hours", data, ("max_hours",))
    return None


def _explained(english: str, data: dict[str, Any]) -> Part:
    """The recorded sentence, translated where the record has its code."""
    because = data.get("because")
    if not isinstance(because, dict) or not isinstance(because.get("fields"), dict):
        return verbatim(english)
    return Explanation(english, str(because.get("reason_code", "")), because["fields"])


def _why(condition: str, data: dict[str, Any]) -> Phrase | None:
    return _filled(f"why.{condition}", data, _WHY[condition]) if condition in _WHY else None


def _filled(key: str, data: dict[str, Any], names: tuple[str, ...]) -> Phrase | None:
    figures = {name: formats.significant(data.get(name), 6) for name in names}
    return None if formats.NONE in figures.values() else Phrase(key, figures)


# ---- what
Told = tuple[Phrase, list[Part]]


def _tell_other(event: Event, data: dict[str, Any]) -> Told:
    return _headline(event), _error(data)


def _headline(event: Event) -> Phrase:
    return _known("event", event.type) if event.type in KNOWN["event"] else verbatim(event.type.replace("_", " "))


def _tell_edit(event: Event, data: dict[str, Any]) -> Told:
    trial = data.get("probation")
    details = _changes(data)
    if isinstance(trial, dict) and finite(trial.get("steps")) is not None:
        terms = {"steps": steps(trial["steps"]), "when": probation_terms(trial.get("revert_if"))}
        details.append(Phrase("detail.probation", terms))
    return _headline(event), details


def _tell_refused(event: Event, data: dict[str, Any]) -> Told:
    errors = [error for error in _list(data.get("errors")) if isinstance(error, dict)]
    if not errors:
        return _headline(event), [verbatim(data["line"])] if data.get("line") else []
    return _headline(event), [_problem(error) for error in errors]


def _problem(error: dict[str, Any]) -> Part:
    problem = config.Problem.from_json(error)
    why = Explanation(problem.message or formats.NONE, problem.reason_code, problem.fields)
    if not problem.key:
        return why
    shown = {"key": problem.key, "value": ParameterValue(problem.key, problem.value), "message": why}
    return Phrase("detail.problem", shown)


def _tell_turn(event: Event, data: dict[str, Any]) -> Told:
    ends = {name: formats.whole(data.get(f"{name}_step")) for name in ("from", "to")}
    if ends["to"] == formats.NONE:
        return _headline(event), _changes(data)
    way = "to" if ends["from"] == formats.NONE else "from_to"
    return Phrase(f"event.{event.type}.{way}", ends), _changes(data)


def _tell_phase(event: Event, data: dict[str, Any]) -> Told:
    ends = {name: phase(data[name]) for name in ("from", "to") if data.get(name)}
    return (Phrase("event.phase_changed.from_to", ends) if len(ends) == 2 else _headline(event)), []


def _tell_validated(event: Event, data: dict[str, Any]) -> Told:
    asked = [Phrase("by_hand")] if data.get("by_hand") is True else []
    return _headline(event), [*_validation(data), *asked]


def _validation(data: dict[str, Any]) -> list[Part]:
    """`PSNR-Y 30.36 dB (+0.18 over bicubic)`, `SSIM-Y 0.8391`."""
    metrics = data.get("metrics")
    recorded = metrics if isinstance(metrics, dict) else data
    figures = {str(name).removeprefix("val/"): value for name, value in recorded.items()}
    psnr, bicubic, ssim = (finite(figures.get(name)) for name in ("psnr_y", "bicubic_psnr_y", "ssim_y"))
    parts: list[Part] = []
    if psnr is not None:
        gain = None if bicubic is None else psnr - bicubic
        text = {"psnr": formats.decibels(psnr), "gain": formats.signed(gain)}
        parts.append(Phrase("detail.psnr" if gain is None else "detail.psnr_gain", text))
    return [*parts, *([Phrase("detail.ssim", {"ssim": formats.number(ssim, 4)})] if ssim is not None else [])]


def _tell_saved(event: Event, data: dict[str, Any]) -> Told:
    parts: list[Part] = [_known("saved", data["reason"])] if data.get("reason") else []
    if finite(data.get("size_bytes")) is not None:
        parts.append(verbatim(formats.size(data["size_bytes"])))
    return _headline(event), parts


def _tell_save_failed(event: Event, data: dict[str, Any]) -> Told:
    at = data.get("at_step", event.step)
    return Phrase("event.checkpoint_failed", {"step": formats.whole(at)}), _error(data)


def _tell_started(event: Event, data: dict[str, Any]) -> Told:
    run_config, parent = data.get("run_config"), data.get("parent")
    parts: list[Part] = []
    if isinstance(run_config, dict) and run_config.get("network"):
        scale = f" ×{run_config['scale']}" if run_config.get("scale") else ""
        network = f"{run_config['network']}{scale}"
        device = data.get("device")
        parts.append(Phrase("detail.on_device", {"what": network, "device": device}) if device else verbatim(network))
    if isinstance(parent, dict) and parent.get("run_id"):
        parts.append(Phrase("detail.parent", {"run": parent["run_id"], "step": formats.whole(parent.get("step"))}))
    fresh = data.get("fresh_moments")
    if isinstance(fresh, dict) and {"checkpoint", "run"} <= fresh.keys():
        parts.append(Phrase("detail.fresh_moments", {"ours": str(fresh["run"]), "theirs": str(fresh["checkpoint"])}))
    return _headline(event), parts


def _tell_restored(event: Event, data: dict[str, Any]) -> Told:
    step, moved = formats.whole(data.get("from_step")), data.get("moved")
    path = moved.get("data") if isinstance(moved, dict) else None
    parts: list[Part] = [Phrase("detail.moved", {"path": path})] if isinstance(path, str) else []
    return (Phrase("event.restored") if step == formats.NONE else Phrase("event.restored.from", {"step": step})), parts


def _tell_stopped(event: Event, data: dict[str, Any]) -> Told:
    why = data.get("why")
    by_signal = [verbatim(why)] if why and why not in ("stop", "max_hours") else []
    return _headline(event), [*_validation(data), *by_signal]


def _tell_non_finite(event: Event, data: dict[str, Any]) -> Told:
    return _headline(event), [Phrase("detail.skipped")] if data.get("skipped") else []


def _tell_bad_sample(event: Event, data: dict[str, Any]) -> Told:
    return _headline(event), _error(data)


def _tell_unstable(event: Event, data: dict[str, Any]) -> Told:
    gains = {name: formats.signed(finite(data.get(f"gain_{name}"))) for name in ("window", "train_window")}
    growth = finite(data.get("growth"))
    parts: list[Part] = [Phrase("detail.window_gains", gains)]
    return _headline(event), parts + (
        [Phrase("detail.growth", {"growth": formats.number(growth, 3)})] if growth else []
    )


def _tell_below(event: Event, data: dict[str, Any]) -> Told:
    return _headline(event), [Phrase("detail.gain", {"gain": formats.signed(finite(data.get("gain")))})]


def _tell_fell(event: Event, data: dict[str, Any]) -> Told:
    shown = {name: formats.decibels(finite(data.get(key))) for name, key in (("psnr", "psnr_y"), ("best", "best"))}
    return _headline(event), [Phrase("detail.fell", {**shown, "step": formats.whole(data.get("best_step"))})]


def _tell_recovered(event: Event, data: dict[str, Any]) -> Told:
    what = data.get("what")
    return (Phrase("event.validation_recovered.of", {"what": _known("event", what)}) if what else _headline(event)), []


def _tell_lost(event: Event, data: dict[str, Any]) -> Told:
    return _headline(event), _error(data) or ([_known("trouble", data["class"])] if data.get("class") else [])


def _tell_back(event: Event, data: dict[str, Any]) -> Told:
    if finite(data.get("lost_s")) is None:
        return _headline(event), []
    return _headline(event), [Phrase("detail.lost_for", {"span": formats.duration(data["lost_s"])})]


def _tell_face(event: Event, data: dict[str, Any]) -> Told:
    face = data.get("face")
    return (Phrase("event.face_failed.of", {"face": face}) if face else _headline(event)), _error(data)


def _tell_output(event: Event, data: dict[str, Any]) -> Told:
    what = data.get("what")
    headline = Phrase(f"event.{event.type}.of", {"what": _known("output", what)}) if what else _headline(event)
    return headline, _error({**data, "what": None})


def _tell_storage_back(event: Event, data: dict[str, Any]) -> Told:
    if finite(data.get("waited_s")) is None:
        return _headline(event), []
    return _headline(event), [Phrase("detail.lost_for", {"span": formats.duration(data["waited_s"])})]


def _error(data: dict[str, Any]) -> list[Part]:
    text = data.get("error") or data.get("what")
    return [_explained(str(text), data)] if text else []


def _changes(data: dict[str, Any]) -> list[Part]:
    made = tuple(change for change in _list(data.get("changes")) if isinstance(change, dict) and change.get("key"))
    return [ParameterChanges(made)] if made else []


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


_TELL: dict[str, Callable[[Event, dict[str, Any]], Told]] = {
    "config_applied": _tell_edit, "config_refused": _tell_refused, "config_reverted": _tell_turn,
    "rolled_back": _tell_turn, "phase_changed": _tell_phase,
    "validated": _tell_validated, "checkpoint_saved": _tell_saved, "checkpoint_failed": _tell_save_failed,
    "started": _tell_started, "restored": _tell_restored, "stopped": _tell_stopped, "finished": _tell_stopped,
    "non_finite": _tell_non_finite, "tracking_lost": _tell_lost, "tracking_back": _tell_back, "face_failed": _tell_face,
    "bad_sample": _tell_bad_sample, "recurrence_unstable": _tell_unstable, "below_bicubic": _tell_below,
    "quality_fell": _tell_fell, "validation_recovered": _tell_recovered,
    "output_lost": _tell_output, "output_back": _tell_output, "storage_back": _tell_storage_back,
}  # fmt: skip
