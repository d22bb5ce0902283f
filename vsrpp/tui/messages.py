"""Every sentence of the terminal UI, in English and German. What the run itself recorded stays as it was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vsrpp import config, formats
from vsrpp.control.messages import LANGUAGES, WORDS
from vsrpp.tui.terminal import spelt_out


class Texts:
    """`t("eta", span="4:05")` in one language; without Unicode, umlauts are spelt out."""

    def __init__(self, lang: str = "en", *, unicode: bool = True) -> None:
        """Raises ValueError for a language that is not there."""
        if lang not in LANGUAGES:
            raise ValueError(f"language {lang} is not one of {', '.join(LANGUAGES)}")
        self.lang = lang
        self._column = LANGUAGES.index(lang)
        self._unicode = unicode

    def __call__(self, key: str, /, **words: Any) -> str:
        text = TEXTS[key][self._column]
        return self.spelt(text.format(**words) if words else text)

    def spelt(self, text: str) -> str:
        """The text as this terminal can show it."""
        return text if self._unicode else spelt_out(text)

    def title(self, parameter: config.Parameter) -> str:
        """A parameter's label: the schema's title, or its German."""
        return self.spelt(parameter.title_in(self.lang))

    def description(self, parameter: config.Parameter) -> str:
        """What the parameter does: the schema's description, or its German."""
        return self.spelt(parameter.description_in(self.lang))

    def value(self, key: str, thing: Any) -> str:
        """A parameter's value for display; what is typed stays as the config writes it."""
        return formats.value(key, thing, (self("on"), self("off")))

    def changes(self, made: Iterable[Mapping[str, Any]]) -> str:
        """`max_lr 1.50e-04 → 2.00e-04, grad_clip 1.0 → 0.5`."""
        return formats.changes(made, (self("on"), self("off")))

    def unit(self, parameter: config.Parameter) -> str:
        return parameter.unit_in(self.lang)


TEXTS: dict[str, tuple[str, str]] = {
    **WORDS,
    # states
    "plateau": WORDS["state.plateau"],
    "probation": WORDS["state.probation"],
    "says.finished": (
        "This run has finished; this is its last state. Go on from it: vsrpp train --from {run}",
        "Dieser Lauf ist fertig; zu sehen ist sein letzter Stand. Von ihm aus weiter: vsrpp train --from {run}",
    ),
    "says.failed": (
        "This run failed: {why}. Continue it: vsrpp train --resume {run}",
        "Dieser Lauf ist gescheitert: {why}. Fortsetzen: vsrpp train --resume {run}",
    ),
    "says.dead": (
        "The training process is gone without a word. Continue it: vsrpp train --resume {run}",
        "Der Trainingsprozess ist ohne Abmeldung weg. Fortsetzen: vsrpp train --resume {run}",
    ),
    "says.probation": (
        "On probation until step {step}: goes back if {when}. Until then only pause, resume and stop act.",
        "Auf Probe bis Schritt {step}: zurück, wenn {when}. Bis dahin wirken nur Pause, Fortsetzen und Stopp.",
    ),
    "says.reading": ("Reading the run's record …", "Liest die Aufzeichnung des Laufs …"),
    "says.unreadable": ("The record cannot be read: {why}", "Die Aufzeichnung ist nicht lesbar: {why}"),
    "left": ("Left run {run}; {then} Come back: vsrpp top {run}", "Lauf {run} verlassen; {then} Zurück: vsrpp top {run}"),
    "left.live": ("training goes on.", "das Training läuft weiter."),
    "left.ended": ("it is {state}.", "er ist {state}."),
    # header
    "step_of": ("step {step} of {all}", "Schritt {step} von {all}"),
    "to_go": ("{span} to go", "noch {span}"),
    "steps_per_s": ("{n} steps/s", "{n} Schritte/s"),
    "revision": ("revision {n}", "Revision {n}"),
    "branch": ("branch {n}", "Zweig {n}"),
    # overview
    "losses": ("Losses", "Verluste"),
    "weight": ("weight", "Gewicht"),
    "steering": ("Steering", "Regelung"),
    "rate": ("Rate", "Lernrate"),
    "gradient": WORDS["grad_norm"],
    "momentum.short": ("Momentum", "Momentum"),
    "gradient.short": ("Gradient", "Gradient"),
    "of_limit": ("of {n}", "von {n}"),
    "convergence": ("Loss is", "Verlust"),
    "slope": ("{n} ± {error} %/1000", "{n} ± {error} %/1000"),
    "score": ("Score", "Note"),
    "score.sharpness": ("sharp", "Schärfe"),
    "score.convergence": ("conv", "Konv"),
    "score.stability": ("stab", "Stab"),
    "step_time": WORDS["step"],
    "time.data_wait": ("wait", "warten"),
    "time.compute": ("compute", "rechnen"),
    "time.validation": ("validate", "validieren"),
    "time.boundary": ("between", "dazwischen"),
    "hours": ("{n} h of machine time", "{n} h Maschinenzeit"),
    "hours_of": ("{n} of {max} h of machine time", "{n} von {max} h Maschinenzeit"),
    "cost": ("cost {n} so far", "Kosten bisher {n}"),
    "plateau_counter": ("Plateau", "Plateau"),
    "delivery": ("Delivery", "Lieferung"),
    "delivery.soon": ("rows on their way: {rows}", "Zeilen unterwegs: {rows}"),
    "delivery.files": ("files on their way: {files}", "Dateien unterwegs: {files}"),
    "delivery.away": ("off host: {step}, {age} old", "außer Haus: {step}, vor {age}"),
    "delivery.here": ("off host: none", "außer Haus: nichts"),
    "delivery.end": ("end not told", "Ende ungemeldet"),
    "upload": ("Upload", "Hochladen"),
    "delivery.behind": ("{age} behind, rows {rows}, files {artifacts}", "{age} zurück, Zeilen {rows}, Dateien {artifacts}"),
    "over_bicubic": ("{n} over bicubic", "{n} gegen bikubisch"),
    "bicubic": WORDS["of_bicubic"],
    "best": ("best", "bestes"),
    "no_validation": ("no validation yet; v asks for one", "noch keine Validierung; v fordert eine an"),
    "no_validation.ended": ("no validation", "keine Validierung"),
    "next_validation": ("next at step {step}", "nächste bei Schritt {step}"),
    "machine": ("Machine", "Maschine"),
    "machine.process": ("Process", "Prozess"),
    "machine.memory": WORDS["memory"],
    "machine.gpu": WORDS["use.gpu"],
    "machine.wait": ("Data wait", "Datenwarten"),
    "peak": ("🔥 PEAK LAYER ACTIVITY", "🔥 HÖCHSTE SCHICHTAKTIVITÄT"),
    "level.unusual": ("Unusually high!", "Ungewöhnlich hoch!"),
    "level.extreme": ("EXTREME! Check training", "EXTREM! Training prüfen"),
    "no_activity": ("no layer activity recorded yet", "noch keine Schichtaktivität aufgezeichnet"),
    "streams": ("📊 STREAM OVERVIEW (average)", "📊 STREAM-ÜBERSICHT (Durchschnitt)"),
    "n_layers": ("({n} layers)", "({n} Schichten)"),
    "one_layer": ("(1 layer)", "(1 Schicht)"),
    "weights_bar": ("Weights", "Gewichte"),
    "values_bar": ("Loss values", "Verlustwerte"),
    "no_values": ("no row yet: the first comes after {every} steps", "noch keine Zeile: die erste kommt nach {every} Schritten"),
    "events": ("Events", "Ereignisse"),
    # pages
    "view.overview": ("Overview", "Übersicht"),
    "view.layers": ("Layers", "Schichten"),
    "view.charts": ("Charts", "Kurven"),
    "view.timeline": ("Timeline", "Zeitleiste"),
    "sorted_by": ("by {what}", "nach {what}"),
    "sort.value": ("value", "Wert"),
    "sort.trend": ("trend", "Verlauf"),
    "sort.name": ("name", "Name"),
    "trend": ("trend", "Verlauf"),
    "shown_of": ("{first}–{last} of {all}", "{first}–{last} von {all}"),
    "no_events": ("nothing of this kind yet", "noch nichts dieser Art"),
    "older": ("older ones: vsrpp history {run}", "ältere: vsrpp history {run}"),
    "log_scale": ("log scale", "log. Skala"),
    "whole_history": ("whole history", "ganzer Verlauf"),
    "chart.loss": ("Total loss", "Gesamtverlust"),
    "chart.psnr": WORDS["psnr"],
    "col.step": ("step", "Schritt"),
    "col.branch": ("branch", "Zweig"),
    "col.gain": WORDS["score.gain"],
    "col.time": ("time", "Zeit"),
    "col.asked": WORDS["by_hand"],
    "col.revision": ("revision", "Revision"),
    "col.size": ("size", "Größe"),
    "col.state": ("state", "Zustand"),
    "col.best": ("best", "Bestes"),
    "col.name": ("name", "Name"),
    "col.run": ("run", "Lauf"),
    # menu
    "menu": ("RUNTIME CONFIGURATION", "LAUFZEIT-KONFIGURATION"),
    "menu.prompt": ("Number or name", "Nummer oder Name"),
    "menu.hint": ("13, or max_lr", "13, oder max_lr"),
    "menu.safe": WORDS["tier.safe"],
    "menu.careful": ("With care: loss weights, edited as one", "Mit Bedacht: Verlustgewichte, gemeinsam zu ändern"),
    "menu.startup": WORDS["tier.startup"],
    "menu.unknown": ("no parameter {text}", "kein Parameter {text}"),
    "menu.locked": (
        "{key} cannot change while it trains. Restart, or start a new run from a checkpoint: vsrpp train --from {run}",
        "{key} ist im laufenden Training fest. Neu starten, oder von einem Checkpoint neu beginnen: vsrpp train --from {run}",
    ),
    "now": ("now {value}", "jetzt {value}"),
    "set_by": ("set by {who} at step {step}", "von {who} bei Schritt {step} gesetzt"),
    "new_value": ("New value", "Neuer Wert"),
    "reason": ("Reason", "Grund"),
    "reason.hint": ("why; may be empty", "warum; darf leer sein"),
    "probation.steps": ("Steps on probation", "Schritte auf Probe"),
    "probation.if": WORDS["probation_if"],
    "probation.bad_steps": ("steps on probation: must be a whole number from 1", "Schritte auf Probe: eine ganze Zahl ab 1"),
    "probation.follows": (
        "on probation: goes back, config included, if {when} within {steps}",
        "auf Probe: zurück samt Konfiguration, wenn {when}, über {steps}",
    ),
    "preview.type": ("Type a value and see here what would follow.", "Wert eintippen und hier sehen, was daraus folgt."),
    "preview.same": ("This is the present value.", "Das ist der jetzige Wert."),
    "preview.wait": ("checking …", "prüft …"),
    "preview.rate": ("rate ahead", "Lernrate voraus"),
    "preview.before": WORDS["rate_now"],
    "preview.after": WORDS["rate_then"],
    "preview.next": ("next step {old} → {new}", "nächster Schritt {old} → {new}"),
    "preview.near": ("close to the limit {limit}", "nahe an der Grenze {limit}"),
    "weights": ("16–19. Loss weights", "16–19. Verlustgewichte"),
    "sum.range": ("(0.95 to 1.05)", "(0.95 bis 1.05)"),
    "no_perceptual": (
        "Perceptual stays 0: the run was started without a perceptual weight file.",
        "Perceptual bleibt 0: der Lauf wurde ohne Datei mit perzeptuellen Gewichten gestartet.",
    ),
    "choices": ("up and down: {values}", "auf und ab: {values}"),
    # answers
    "asked": ("{what}: asked …", "{what}: angefragt …"),
    "asked.already": ("{what}: still waiting for the answer", "{what}: die Antwort steht noch aus"),
    "applied": (
        "Applied at step {step}, revision {revision}: {what}",
        "Angewendet bei Schritt {step}, Revision {revision}: {what}",
    ),
    "applied.nothing": ("Nothing changed: it is so already.", "Nichts geändert: es ist schon so."),
    "done": ("{what}: done at step {step}", "{what}: erledigt bei Schritt {step}"),
    "refused": WORDS["answer.refused"],
    "pending": ("{what}: {why}", "{what}: {why}"),
    "do.edit": ("Edit", "Änderung"),
    "do.pause": WORDS["pause"],
    "do.resume": WORDS["resume"],
    "do.validate": WORDS["validation"],
    "do.checkpoint": WORDS["checkpoint"],
    "do.rollback": ("Rollback", "Zurücksetzen"),
    "do.stop": ("Stop", "Stopp"),
    # dialogs
    "rollback": ("Roll back to a checkpoint", "Auf einen Checkpoint zurücksetzen"),
    "rollback.none": ("No checkpoint yet; c saves one.", "Noch kein Checkpoint; c speichert einen."),
    "rollback.sure": (
        "Back to step {step}: the {n} steps since stay on record as a branch left behind; config as it was then.",
        "Zurück auf Schritt {step}: die {n} Schritte danach bleiben als verlassener Zweig stehen; Konfiguration wie damals.",
    ),
    "stop.sure": (
        "Stop this run? It saves a checkpoint and ends; vsrpp train --resume continues it.",
        "Diesen Lauf stoppen? Er speichert einen Checkpoint und endet; vsrpp train --resume setzt ihn fort.",
    ),
    "runs": WORDS["all_runs"],
    "runs.here": ("shown now", "gerade gezeigt"),
    "runs.wait": ("looking …", "sucht …"),
    "help": ("Help", "Hilfe"),
    # keys
    "key.menu": ("Menu", "Menü"),
    "key.pause": WORDS["pause"],
    "key.resume": ("Resume", "Weiter"),
    "key.validate": WORDS["validate"],
    "key.checkpoint": WORDS["checkpoint"],
    "key.view": ("View", "Ansicht"),
    "key.stop": ("Stop", "Stopp"),
    "key.help": ("Help", "Hilfe"),
    "key.quit": ("Leave", "Verlassen"),
    "key.sort": ("Sort", "Sortieren"),
    "key.filter": WORDS["filter"],
    "key.scroll": ("Scroll", "Blättern"),
    "key.back": ("Back", "Zurück"),
    "key.choose": ("Choose", "Wählen"),
    "key.next": ("Next", "Weiter"),
    "key.apply": WORDS["apply"],
    "key.move": ("Move", "Bewegen"),
    "key.field": ("Field", "Feld"),
    "key.probation": ("Probation", "Auf Probe"),
    "key.balance": ("Balance to 1", "Auf 1 ausgleichen"),
    "key.yes": ("Yes", "Ja"),
    "key.no": WORDS["no"],
    # the same, short, for narrow terminals
    "short.menu": ("Menu", "Menü"),
    "short.pause": WORDS["pause"],
    "short.resume": ("Go on", "Weiter"),
    "short.validate": ("Valid", "Valid"),
    "short.checkpoint": ("Ckpt", "Ckpt"),
    "short.rollback": ("Back", "Rück"),
    "short.view": ("View", "Sicht"),
    "short.runs": WORDS["key.runs"],
    "short.stop": ("Stop", "Stopp"),
    "short.help": ("Help", "Hilfe"),
    "short.quit": ("Quit", "Ende"),
    "short.sort": ("Sort", "Sort."),
    "short.filter": WORDS["filter"],
    "short.scroll": ("Scroll", "Blätt."),
}  # fmt: skip
