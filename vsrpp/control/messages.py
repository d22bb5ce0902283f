"""Refusals of this room; and the words shared by panel, terminal and command line, in English and German."""

from __future__ import annotations

from vsrpp.errors import NotFound, NotLive, Reason, TimedOut

# ---- naming a run
NO_RUNS = Reason("not_found.runs", "No run in {folder} yet. Start one: vsrpp train --data sample", NotFound)
NO_RUN = Reason("not_found", "No run {name} in {folder} ({present}).", NotFound)
SEVERAL_RUNS = Reason("refused.ambiguous", "{name} is a prefix of {count} runs ({runs}); give more of it.")
NOTHING_TO_COMPARE = Reason("not_found.record", "Run {run} has not started: there is nothing to compare.", NotFound)

# ---- naming a checkpoint
NO_CHECKPOINT_REF = Reason(
    "refused.checkpoint_ref",
    "{ref} does not name a checkpoint: give a step, `best`, `best:KEY`, `latest` or `revision:N`.",
)
NO_BEST_KEY = Reason("refused.best_key", "best:{key} refused: must be one of {known}.")
NO_CHECKPOINT = Reason("not_found.checkpoint.none", "Run {run} has no checkpoint yet.", NotFound)
NO_CHECKPOINT_AT_STEP = Reason(
    "not_found.checkpoint", "Run {run} has no checkpoint at step {step}; the nearest is step {nearest}.", NotFound
)
NO_CHECKPOINT_OF_REVISION = Reason(
    "not_found.checkpoint.revision",
    "Run {run} has no checkpoint of revision {revision}; it has checkpoints at steps {steps}.",
    NotFound,
)
NO_VALIDATED_CHECKPOINT = Reason(
    "not_found.checkpoint.best",
    "Run {run} has no checkpoint with {key} yet; the latest checkpoint is step {latest}.",
    NotFound,
)

# ---- commands to a run
NOTHING_TO_SET = Reason("refused.empty", "Nothing to set: give KEY=VALUE.")
NOT_LIVE_FINISHED = Reason(
    "not_live.finished",
    "Run {run} is finished, so nothing can {action}. Start a new run from it: vsrpp train --from {run}",
    NotLive,
)
NOT_LIVE = Reason(
    "not_live", "Run {run} is {state}, so nothing can {action}. Continue it: vsrpp train --resume {run}", NotLive
)
EDIT_NOT_JSON = Reason("refused.not_json", "The edit cannot be written as JSON ({why}); nothing was changed.")
EDIT_TOO_LARGE = Reason("refused.too_large", "The edit is larger than {limit_kib} KiB; nothing was changed.")
NOT_TEXT = Reason("refused.not_text", "The {field} must be text, not {type}; nothing was changed.")
NO_BASE_REVISION = Reason(
    "refused.base_revision", "The base revision must be a revision of the run, not {value}; nothing was changed."
)
STALE = Reason(
    "refused.stale",
    "stale: made on revision {base_revision}, but {who} set it to {now} at step {step} (revision {revision})",
)
REVISION_TO_COME = Reason("refused.revision", "this run has no such revision yet")
PROBATION_ONLY_FROM = Reason("refused.probation", "revert_if needs probation=STEPS.")
ONE_OF_STEP_AND_REVISION = Reason("refused.rollback", "A rollback goes to a step or to a revision: give one of them.")
NO_EVENT_TYPE = Reason("refused.event_type", "{type} is not an event type; the types are {types}.")
EDIT_NOT_OBJECT = Reason("refused.edit_object", "An edit is an object of keys and values; nothing was changed.")
KEY_TWICE = Reason("refused.key_twice", "{key} refused: set twice in one edit.")
NO_EVENT_IN_TIME = Reason("timed_out.event", "no {types} came within {timeout_s} s.", TimedOut)
NOT_AT_STEP = Reason("timed_out.step", "run {run} is at step {step}, not at {target}, after {timeout_s} s.", TimedOut)
ENDED_WITHOUT = Reason("not_live.ended", "run {run} ended without {type}.", NotLive)
NEVER_REACHED = Reason("not_live.step", "run {run} is {state} at step {step}; it never reached {target}.", NotLive)

LANGUAGES = ("en", "de")

WORDS: dict[str, tuple[str, str]] = {
    # what stands on panel and terminal alike, by the key of the one or the other
    "key.runs": ("Runs", "Läufe"),
    "state.training": ("training", "trainiert"),
    "state.paused": ("paused", "pausiert"),
    "state.validating": ("validating", "validiert"),
    "state.finished": ("finished", "fertig"),
    "state.stopped": ("stopped", "gestoppt"),
    "state.failed": ("failed", "gescheitert"),
    "state.dead": ("dead", "abgebrochen"),
    "state.silent": ("silent", "stumm"),
    "state.unreadable": ("unreadable", "unlesbar"),
    "state.probation": ("on probation", "auf Probe"),
    "state.plateau": ("plateau", "Plateau"),
    "says.stopped": (
        "This run was stopped at step {step}. Continue it: vsrpp train --resume {run}",
        "Dieser Lauf wurde bei Schritt {step} gestoppt. Fortsetzen: vsrpp train --resume {run}",
    ),
    "says.silent": (
        "No sign of life for {age}, though the process is there: a very long step, or it hangs.",
        "Seit {age} kein Lebenszeichen, obwohl der Prozess da ist: ein sehr langer Schritt, oder er hängt.",
    ),
    "says.paused": (
        "Paused at step {step}. Edits, checkpoints and validations take effect at once.",
        "Pausiert bei Schritt {step}. Änderungen, Checkpoints und Validierungen wirken sofort.",
    ),
    "step": ("Step", "Schritt"),
    "chart.rate": ("Learning rate", "Lernrate"),
    "memory": ("Memory", "Speicher"),
    "pause": ("Pause", "Pause"),
    "resume": ("Resume", "Fortsetzen"),
    "validate": ("Validate", "Validieren"),
    "checkpoint": ("Checkpoint", "Checkpoint"),
    "no": ("No", "Nein"),
    "on": ("on", "an"),
    "off": ("off", "aus"),
    "answer.refused": ("{what} refused: {why}", "{what} abgelehnt: {why}"),
    "layer": ("Layer", "Schicht"),
    "value": ("Value", "Wert"),
    "level.low": ("Low", "Niedrig"),
    "level.moderate": ("Moderate", "Mäßig"),
    "level.high": ("High", "Hoch"),
    "backward": ("Backward", "Rückwärts"),
    "forward": ("Forward", "Vorwärts"),
    "fusion": ("Fusion", "Fusion"),
    "momentum": ("AdamW momentum", "AdamW-Momentum"),
    "quality": ("Quality", "Qualität"),
    "of_bicubic": ("bicubic", "bikubisch"),
    "grad_norm": ("Gradient norm", "Gradientennorm"),
    "score.gain": ("gain", "Gewinn"),
    "convergence.falling": ("falling", "fallend"),
    "convergence.flat": ("flat", "flach"),
    "convergence.rising": ("rising", "steigend"),
    "convergence.noisy": ("too noisy to tell", "zu verrauscht"),
    "convergence.unknown": ("not known yet", "noch unbekannt"),
    "time.checkpoint": ("checkpoint", "Checkpoint"),
    "use.gpu": ("GPU", "GPU"),
    "cost_ahead": ("{n} to come", "{n} stehen aus"),
    "delivery.done": ("up to date", "vollständig"),
    "delivery.waiting": ("rows {rows}, files {artifacts}", "Zeilen {rows}, Dateien {artifacts}"),
    "validation": ("Validation", "Validierung"),
    "psnr": ("PSNR-Y (dB)", "PSNR-Y (dB)"),
    "by_hand": ("asked for", "angefordert"),
    "filter": ("Filter", "Filter"),
    "view.validations": ("Validations", "Validierungen"),
    "tier.safe": ("Safe while it trains", "Gefahrlos im laufenden Training"),
    "tier.startup": ("Fixed since the start", "Seit dem Start fest"),
    "range": ("{low} to {high}", "{low} bis {high}"),
    "default": ("default {value}", "Vorgabe {value}"),
    "sum": ("Sum {sum}", "Summe {sum}"),
    "preview": ("Preview", "Vorschau"),
    "rate_now": ("as it is", "wie es ist"),
    "rate_then": ("with the edit", "mit der Änderung"),
    "apply": ("Apply", "Anwenden"),
    "probation_if": ("Go back if", "Zurück, wenn"),
    "all_runs": ("Runs on this host", "Läufe auf diesem Rechner"),
    "key.rollback": ("Roll back", "Zurücksetzen"),
    # what keeps MLflow from having all of a run: in short, and what it means
    "trouble.unreachable": ("not reachable", "nicht erreichbar"),
    "trouble.timeout": ("no answer in time", "antwortet zu spät"),
    "trouble.server_error": ("server error", "Serverfehler"),
    "trouble.auth": ("sign-in refused", "Anmeldung abgelehnt"),
    "trouble.disk_full": ("disk full", "Platte voll"),
    "trouble.gone": ("run deleted there", "Lauf dort gelöscht"),
    "trouble.refused": ("refused", "abgelehnt"),
    "trouble.broken": ("delivery fault", "Lieferfehler"),
    "trouble.slow": ("slow", "langsam"),
    "trouble.undelivered": ("not delivered", "nicht geliefert"),
    "means.unreachable": (
        "Nobody answers at the tracking server. It is asked again and again; nothing is lost.",
        "Am Tracking-Server antwortet niemand. Er wird immer wieder gefragt; nichts ist verloren.",
    ),
    "means.timeout": (
        "The tracking server takes too long to answer. It is asked again and again; nothing is lost.",
        "Der Tracking-Server antwortet zu spät. Er wird immer wieder gefragt; nichts ist verloren.",
    ),
    "means.server_error": (
        "The tracking server or its store fails (5xx). It is asked again and again; nothing is lost.",
        "Der Tracking-Server oder sein Speicher hat einen Fehler (5xx). Er wird immer wieder gefragt; nichts ist verloren.",
    ),
    "means.auth": (
        (
            "The tracking server or its store does not let us in: the sign-in is wrong or has expired. Renew it; what waits "
            "then goes out, at the latest with: vsrpp sync {run}"
        ),
        (
            "Der Tracking-Server oder sein Speicher lässt uns nicht ein: die Anmeldung ist falsch oder abgelaufen. Erneuern; "
            "was wartet, geht dann hinaus, spätestens mit: vsrpp sync {run}"
        ),
    ),
    "means.disk_full": (
        "A disk is full, the tracking server's or this machine's. Make room; delivery then goes on by itself.",
        (
            "Eine Platte ist voll, die des Tracking-Servers oder die dieses Rechners. Platz schaffen; dann geht es von "
            "selbst weiter."
        ),
    ),
    "means.gone": (
        "The run was deleted in MLflow. Restore it there; delivery then goes on by itself.",
        "Der Lauf wurde in MLflow gelöscht. Dort wiederherstellen; dann geht die Lieferung von selbst weiter.",
    ),
    "means.refused": (
        "The tracking server refuses this for good (4xx); delivery.log says what.",
        "Der Tracking-Server lehnt das endgültig ab (4xx); delivery.log sagt, was.",
    ),
    "means.broken": (
        "Delivery itself has a fault; delivery.log says which. Nothing is lost.",
        "Die Lieferung selbst hat einen Fehler; delivery.log sagt, welchen. Nichts ist verloren.",
    ),
    "means.slow": (
        "No call fails, yet MLflow gets less than the run makes. Nothing is lost.",
        "Kein Aufruf scheitert, doch MLflow bekommt weniger, als der Lauf macht. Nichts ist verloren.",
    ),
    "means.undelivered": (
        "The run is over and MLflow has not got all of it. Deliver the rest: vsrpp sync {run}",
        "Der Lauf ist vorbei, und MLflow hat nicht alles. Den Rest liefern: vsrpp sync {run}",
    ),
    "set_aside": ("{n} set aside: {why}", "{n} beiseitegelegt: {why}"),
    "end_due": (
        "The run has ended and MLflow still shows it running. Tell it: vsrpp sync {run}",
        "Der Lauf ist zu Ende, und MLflow zeigt ihn noch als laufend. Sagen mit: vsrpp sync {run}",
    ),
    # events: what happened
    "event.config_applied": ("config applied", "Änderung angewendet"),
    "event.config_refused": ("config refused", "Änderung abgelehnt"),
    "event.config_reverted": ("config reverted", "Änderung zurückgenommen"),
    "event.config_reverted.to": ("config reverted to step {to}", "Änderung zurückgenommen, zurück auf Schritt {to}"),
    "event.config_reverted.from_to": (
        "config reverted from step {from} to {to}",
        "Änderung zurückgenommen, von Schritt {from} auf {to}",
    ),
    "event.config_confirmed": ("config confirmed", "Änderung bestätigt"),
    "event.rolled_back": ("rolled back", "zurückgesetzt"),
    "event.rolled_back.to": ("rolled back to step {to}", "auf Schritt {to} zurückgesetzt"),
    "event.rolled_back.from_to": ("rolled back from step {from} to {to}", "von Schritt {from} auf {to} zurückgesetzt"),
    "event.plateau_detected": ("plateau detected", "Plateau erkannt"),
    "event.plateau_cleared": ("plateau cleared", "Plateau vorbei"),
    "event.safety_reset": ("safety reset", "Sicherheits-Rücksetzung"),
    "event.phase_changed": ("phase changed", "Phasenwechsel"),
    "event.phase_changed.from_to": ("phase {from} → {to}", "Phase {from} → {to}"),
    "event.validated": ("validated", "validiert"),
    "event.checkpoint_saved": ("checkpoint saved", "Checkpoint gespeichert"),
    "event.checkpoint_failed": ("checkpoint of step {step} failed", "Checkpoint von Schritt {step} gescheitert"),
    "event.started": ("started", "gestartet"),
    "event.paused": ("paused", "pausiert"),
    "event.resumed": ("resumed", "fortgesetzt"),
    "event.restored": ("config restored", "Konfiguration wiederhergestellt"),
    "event.restored.from": ("config restored from step {step}", "Konfiguration von Schritt {step} wiederhergestellt"),
    "event.stopped": ("stopped", "gestoppt"),
    "event.finished": ("finished", "fertig"),
    "event.failed": ("failed", "gescheitert"),
    "event.out_of_memory": ("out of memory", "Speicher reicht nicht"),
    "event.non_finite": ("loss or gradient not finite", "Verlust oder Gradient nicht endlich"),
    "event.tracking_lost": ("tracking lost", "Tracking verloren"),
    "event.tracking_back": ("tracking back", "Tracking wieder da"),
    "event.face_failed": ("a companion process failed", "ein Begleitprozess ist gescheitert"),
    "event.face_failed.of": ("{face} failed", "{face} gescheitert"),
    # events: what belongs to it
    "verbatim": ("{text}", "{text}"),
    "event.by": ("{author} ({origin})", "{author} ({origin})"),
    "and": ("and", "und"),
    "detail.probation": ("on probation for {steps}, goes back if {when}", "auf Probe für {steps}, zurück, wenn {when}"),
    "detail.problem": ("{key} = {value}: {message}", "{key} = {value}: {message}"),
    "detail.psnr": ("PSNR-Y {psnr}", "PSNR-Y {psnr}"),
    "detail.psnr_gain": ("PSNR-Y {psnr} ({gain})", "PSNR-Y {psnr} ({gain})"),
    "detail.ssim": ("SSIM-Y {ssim}", "SSIM-Y {ssim}"),
    "detail.on_device": ("{what} on {device}", "{what} auf {device}"),
    "detail.parent": ("from {run} at step {step}", "aus {run} bei Schritt {step}"),
    "detail.skipped": ("the step was skipped", "der Schritt wurde übersprungen"),
    "detail.lost_for": ("after {span}", "nach {span}"),
    "n_steps.one": ("{n} step", "{n} Schritt"),
    "n_steps.many": ("{n} steps", "{n} Schritte"),
    "probation.broken": ("a loss or gradient is not finite", "ein Verlust oder Gradient nicht endlich ist"),
    "probation.or_broken": (
        "{when} or a loss or gradient is not finite",
        "{when} oder ein Verlust oder Gradient nicht endlich ist",
    ),
    "saved.due": ("due", "fällig"),
    "saved.best": ("best so far", "bisher bestes"),
    "saved.asked": ("asked for", "angefordert"),
    "saved.start": ("start", "Start"),
    "saved.stop": ("stop", "Stopp"),
    "origin.panel": ("panel", "Oberfläche"),
    "origin.terminal": ("terminal", "Terminal"),
    "origin.cli": ("cli", "Befehlszeile"),
    "origin.api": ("api", "API"),
    "origin.file": ("file", "Datei"),
    "origin.mlflow": ("mlflow", "MLflow"),
    "origin.probation": ("probation", "Probe"),
    "origin.non_finite": ("guard against non-finite steps", "Schutz vor nicht endlichen Schritten"),
    # events: why, where the run itself decided
    "reason.plateau": (
        "no improvement in {counter} counted steps (patience {patience})",
        "keine Verbesserung in {counter} gezählten Schritten (Geduld {patience})",
    ),
    "reason.improved": ("improvement seen in {signals}", "Verbesserung bei {signals}"),
    "reason.max_hours": (
        "the {max_hours} hours of max_hours are used up",
        "die {max_hours} Stunden aus max_hours sind verbraucht",
    ),
    "signal.loss": ("loss", "Verlust"),
    "signal.ema": ("smoothed loss", "geglättetem Verlust"),
    "signal.trend": ("trend", "Trend"),
    "signal.quality": ("quality", "Qualität"),
    "why.warmed_up": (
        "the warm-up of {warmup_steps} steps is over",
        "die Aufwärmphase von {warmup_steps} Schritten ist vorbei",
    ),
    "why.in_warmup": (
        "step {step} lies in the warm-up of {warmup_steps} steps",
        "Schritt {step} liegt in der Aufwärmphase von {warmup_steps} Schritten",
    ),
    "why.settled": (
        "the {settling_steps} steps to settle are over",
        "die {settling_steps} Schritte zum Einschwingen sind vorbei",
    ),
    "why.safety": (
        "counter {counter} above plateau_safety_threshold {safety_threshold}",
        "Zähler {counter} über plateau_safety_threshold {safety_threshold}",
    ),
    "why.blurred_plateau": (
        "counter {counter} above plateau_patience {patience} and sharpness {sharpness} below {sharpness_threshold}",
        "Zähler {counter} über plateau_patience {patience} und Schärfe {sharpness} unter {sharpness_threshold}",
    ),
    "why.adaptive_off": ("adaptive is off", "adaptive ist aus"),
    "why.not_finite": ("the step was not finite", "der Schritt war nicht endlich"),
    "why.sharp": (
        "sharpness {sharpness} is back at {sharpness_threshold} or more",
        "Schärfe {sharpness} erreicht wieder {sharpness_threshold}",
    ),
    "why.time_over": (
        "{phase_steps} steps ({aggressive_patiences} × patience) are over",
        "{phase_steps} Schritte ({aggressive_patiences} × Geduld) sind vorbei",
    ),
    "why.cooled": (
        "{phase_steps} steps are over (cooldown_duration {cooldown_duration})",
        "{phase_steps} Schritte sind vorbei (cooldown_duration {cooldown_duration})",
    ),
    "phase.warmup": ("warmup", "Aufwärmen"),
    "phase.settling": ("settling", "Einschwingen"),
    "phase.stable": ("stable", "stabil"),
    "phase.aggressive": ("aggressive", "aggressiv"),
    "phase.cooldown": ("cooldown", "Abkühlen"),
    "group.all": ("all", "alle"),
    "group.edits": ("edits", "Änderungen"),
    "group.plateau": ("plateaus", "Plateaus"),
    "group.validation": ("validations", "Validierungen"),
    "group.checkpoint": ("checkpoints", "Checkpoints"),
    "group.life": ("life", "Lebenslauf"),
    "group.faults": ("faults", "Störungen"),
    "term.total": ("Total", "Gesamt"),
    "term.l1": ("L1", "L1"),
    "term.ms": ("MS", "MS"),
    "term.grad": ("Grad", "Grad"),
    "term.perceptual": ("Perceptual", "Perzeptuell"),
}


def english(key: str, /, **fields: object) -> str:
    """The English text of a key: for the command line, MLflow, alerts and logs."""
    return WORDS[key][0].format(**fields)
