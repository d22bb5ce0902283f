"""Every sentence of the panel, in English and German. What the run itself says (events, refusals) stays as recorded."""

from __future__ import annotations

from collections.abc import Callable

from vsrpp.control.messages import LANGUAGES, WORDS

TEXTS: dict[str, tuple[str, str]] = {
    **WORDS,
    # pages
    "monitoring": ("Monitoring", "Überwachung"),
    "config": ("Configuration", "Konfiguration"),
    "runs": WORDS["key.runs"],
    "run": ("Run", "Lauf"),
    "config_button": ("⚙️ Configuration", "⚙️ Konfiguration"),
    "theme": ("Light or dark", "Hell oder dunkel"),
    "skip": ("Skip to content", "Zum Inhalt"),
    "sign_out": ("Sign out", "Abmelden"),
    "loading": ("loading …", "lädt …"),
    "offline": (
        "The panel's own process does not answer. Training is not affected. Trying again every few seconds.",
        (
            "Der Prozess der Oberfläche antwortet nicht. Das Training läuft davon "
            "unberührt. Neuer Versuch alle paar Sekunden."
        ),
    ),
    # states
    "state.behind": ("tracking behind", "Tracking im Rückstand"),
    "says.finished": (
        "This run has finished. What you see is its last state.",
        "Dieser Lauf ist fertig. Zu sehen ist sein letzter Stand.",
    ),
    "says.failed": ("This run failed: {why}", "Dieser Lauf ist gescheitert: {why}"),
    "says.dead": (
        "The training process is gone without a word since {age}. Continue it: vsrpp train --resume {run}",
        "Der Trainingsprozess ist seit {age} ohne Abmeldung weg. Fortsetzen: vsrpp train --resume {run}",
    ),
    "says.behind": (
        "MLflow is behind: rows {rows}, files {artifacts}; the oldest waits {age}.",
        "MLflow ist im Rückstand: Zeilen {rows}, Dateien {artifacts}; die älteste wartet seit {age}.",
    ),
    "says.lost": ("{trouble} for {age}: {error}.", "{trouble} seit {age}: {error}."),
    # header
    "phase": ("Phase", "Phase"),
    "of": ("of", "von"),
    "eta": ("Remaining", "Restzeit"),
    "speed": ("Speed", "Tempo"),
    "steps_per_s": ("steps/s", "Schritte/s"),
    "rate": WORDS["chart.rate"],
    "revision": ("Revision", "Revision"),
    "branch": ("Branch", "Zweig"),
    "gpu_memory": ("GPU memory", "GPU-Speicher"),
    # commands
    "stop": ("Stop …", "Stoppen …"),
    "stop_sure": (
        "Stop this run? It saves a checkpoint and ends; it can be continued later.",
        "Diesen Lauf stoppen? Er speichert einen Checkpoint und endet; er lässt sich später fortsetzen.",
    ),
    "stop_yes": ("Yes, stop the run", "Ja, Lauf stoppen"),
    "stop_no": ("No, go on", "Nein, weiter"),
    "answer.done": ("{what}: done at step {step}.", "{what}: erledigt bei Schritt {step}."),
    "answer.pending": (
        "{what}: no answer yet; the run takes it at its next step boundary.",
        "{what}: noch keine Antwort; der Lauf nimmt es an der nächsten Schrittgrenze.",
    ),
    # charts
    "loss_curves": ("Loss curves", "Verlustkurven"),
    "smoothing": ("Smoothing", "Glättung"),
    "log_scale": ("Log scale", "Log-Skala"),
    "zoom_reset": ("Whole history", "Ganzer Verlauf"),
    "zoom_hint": (
        "Drag across the chart to zoom; arrow keys move the cursor.",
        "Im Diagramm ziehen zum Vergrößern; Pfeiltasten bewegen den Zeiger.",
    ),
    "no_losses": (
        "No losses yet: the first row comes after {every} steps.",
        "Noch keine Verluste: die erste Zeile kommt nach {every} Schritten.",
    ),
    "reading": ("reading older history …", "liest ältere Historie …"),
    "not_finite": ("not finite", "nicht endlich"),
    "left_behind": ("left behind", "verlassen"),
    "weights_bar": ("Weight distribution", "Verteilung der Gewichte"),
    "values_bar": ("Loss value distribution", "Verteilung der Verlustwerte"),
    "in_percent": ("share in %", "Anteil in %"),
    "absolute": ("absolute values", "absolute Werte"),
    "no_values": ("no values yet", "noch keine Werte"),
    "peak_activity": ("Peak layer activity", "Höchste Schichtaktivität"),
    "trend": ("Trend", "Verlauf"),
    "level.unusual": ("Unusually high activity", "Ungewöhnlich hohe Aktivität"),
    "level.extreme": ("Extreme: check training stability", "Extrem: Stabilität des Trainings prüfen"),
    "no_activity": ("No layer activity recorded yet.", "Noch keine Schichtaktivität aufgezeichnet."),
    "streams": ("Stream overview (averages)", "Stream-Übersicht (Durchschnitt)"),
    "layers": ("{n} layers", "{n} Schichten"),
    "layer_one": ("1 layer", "1 Schicht"),
    "all_layers": ("All layers", "Alle Schichten"),
    "sort_by": ("Sort by {what}", "Sortieren nach {what}"),
    # cards
    "figures": ("Figures", "Kennzahlen"),
    "of_output": ("output", "Ausgabe"),
    "improvement": ("Improvement", "Verbesserung"),
    "over_bicubic": ("over bicubic", "gegenüber bikubisch"),
    "best": ("Best so far", "Bisher bestes"),
    "at_step": ("at step {step}", "bei Schritt {step}"),
    "plateau_counter": ("Plateau counter", "Plateau-Zähler"),
    "of_patience": ("of patience {n}", "von Geduld {n}"),
    "clip_at": ("clip at {n}", "Grenze {n}"),
    "score": ("Training score", "Trainingsnote"),
    "score_hint": ("after the first validation", "nach der ersten Validierung"),
    "score.sharpness": ("sharpness", "Schärfe"),
    "score.convergence": ("convergence", "Konvergenz"),
    "score.stability": ("stability", "Stabilität"),
    "convergence": ("Convergence", "Konvergenz"),
    "convergence_hint": ("after the first 64 steps", "nach den ersten 64 Schritten"),
    "slope": ("{n} ± {error} % per 1000 steps", "{n} ± {error} % je 1000 Schritte"),
    "step_time": ("Time of a step", "Zeit eines Schritts"),
    "time.data_wait": ("data wait", "Datenwarten"),
    "time.compute": ("compute", "Rechnen"),
    "time.validation": ("validation", "Validierung"),
    "time.boundary": ("between steps", "zwischen Schritten"),
    "use.cpu": ("process CPU", "Prozess-CPU"),
    "machine_time": ("Machine time", "Maschinenzeit"),
    "hours": ("{n} hours", "{n} Stunden"),
    "hours_of": ("{n} of {max} hours", "{n} von {max} Stunden"),
    "cost": ("Cost so far", "Kosten bisher"),
    "none_yet": ("none yet", "noch keins"),
    "off_host": ("Off this host", "Außer Haus"),
    "off_host.none": ("none", "keiner"),
    "off_host.age": ("checkpoint {age} old", "Checkpoint vor {age}"),
    "delivery": ("Delivery to MLflow", "Lieferung an MLflow"),
    "delivery.soon": ("on its way", "unterwegs"),
    "delivery.oldest": ("waiting {age}", "warten seit {age}"),
    "delivery.end": ("end not told yet", "Ende noch nicht gemeldet"),
    "delivery.upload": ("{what}: {done} of {all}", "{what}: {done} von {all}"),
    # validation and timeline
    "validation_history": ("Validation history", "Validierungsverlauf"),
    "no_validation": (
        "No validation yet: the next is due at step {step}. The button above asks for one now.",
        "Noch keine Validierung: die nächste ist bei Schritt {step} fällig. Der Knopf oben fordert sofort eine an.",
    ),
    "ssim": ("SSIM-Y", "SSIM-Y"),
    "gain": ("Gain (dB)", "Gewinn (dB)"),
    "pictures": ("Validation pictures", "Validierungsbilder"),
    "no_pictures": ("No pictures yet; a validation brings them.", "Noch keine Bilder; eine Validierung bringt sie."),
    "bicubic": ("Input, bicubic", "Eingabe, bikubisch"),
    "output": ("Output", "Ausgabe"),
    "truth": ("Truth", "Original"),
    "left_half": ("Left", "Links"),
    "right_half": ("Right", "Rechts"),
    "divider": ("Divider between the two pictures", "Trennlinie zwischen den beiden Bildern"),
    "clip": ("Clip", "Clip"),
    "against_step": ("Compare with the output at step", "Vergleich mit der Ausgabe bei Schritt"),
    "difference": ("Change (amplified)", "Änderung (verstärkt)"),
    "profile": ("Temporal profile", "Zeitprofil"),
    "profile_hint": (
        "One row of pixels over time, top to bottom: steady structure gives straight lines, flicker jagged ones.",
        "Eine Pixelzeile über die Zeit, von oben nach unten: Ruhiges gibt gerade Linien, Flimmern gezackte.",
    ),
    "timeline": ("Event timeline", "Ereignisse"),
    "no_events": ("Nothing of this kind yet.", "Noch nichts dieser Art."),
    "newest_of": ("newest {shown} of {all}", "neueste {shown} von {all}"),
    # config
    "tier.careful": ("With care: loss weights", "Mit Bedacht: Gewichte der Verluste"),
    "tier.startup.why": (
        "These shape the network, the data or the record itself. Restart, or start a new run from a checkpoint: {cmd}",
        (
            "Sie bestimmen Netz, Daten oder die Aufzeichnung selbst. Neu starten, oder von einem Checkpoint aus einen "
            "neuen Lauf beginnen: {cmd}"
        ),
    ),
    "at_least": ("at least {low}", "mindestens {low}"),
    "never_changed": ("as at the start", "wie beim Start"),
    "changed_by": ("{who} at step {step}, {age} ago", "{who} bei Schritt {step}, vor {age}"),
    "rebalance": (
        "Move together: rebalance the others so that the sum stays 1",
        "Gemeinsam bewegen: die anderen ausgleichen, damit die Summe 1 bleibt",
    ),
    "no_perceptual": (
        "Stays 0: the run was started without a perceptual weight file.",
        "Bleibt 0: der Lauf wurde ohne Datei mit perzeptuellen Gewichten gestartet.",
    ),
    "preview_none": (
        "Nothing changed yet. Change a value and see here what would follow.",
        "Noch nichts geändert. Ändere einen Wert und sieh hier, was daraus folgt.",
    ),
    "preview_bad": ("Would be refused:", "Würde abgelehnt:"),
    "preview_ok": ("Would hold from the next step on:", "Würde ab dem nächsten Schritt gelten:"),
    "rate_ahead": ("Learning rate ahead", "Lernrate voraus"),
    "parameter": ("Parameter", "Parameter"),
    "old": ("now", "jetzt"),
    "new": ("then", "dann"),
    "reason": ("Reason (on record)", "Grund (wird aufgezeichnet)"),
    "reason_hint": ("why you make this change", "warum du das änderst"),
    "discard": ("Discard", "Verwerfen"),
    "use_defaults": ("Defaults", "Vorgaben"),
    "applied": ("Applied at step {step}, revision {revision}.", "Angewendet bei Schritt {step}, Revision {revision}."),
    "refused": ("Refused: {why}", "Abgelehnt: {why}"),
    "pending": (
        "Not taken yet; it waits for the run's next step boundary.",
        "Noch nicht übernommen; die Änderung wartet auf die nächste Schrittgrenze.",
    ),
    "nothing": ("Nothing to apply: no value differs.", "Nichts anzuwenden: kein Wert weicht ab."),
    "still": ("Still at revision {revision}.", "Es gilt weiter Revision {revision}."),
    "stale_merged": (
        "While you typed, {who} set {key} to {value} at step {step} (revision {revision}). Taken over here.",
        (
            "Während du tipptest, hat {who} {key} bei Schritt {step} auf {value} gesetzt (Revision {revision}). "
            "Hier übernommen."
        ),
    ),
    "stale_conflict": (
        (
            "While you typed, {who} set {key} to {value} at step {step} (revision {revision}). "
            "Yours stays in the form and would replace it."
        ),
        (
            "Während du tipptest, hat {who} {key} bei Schritt {step} auf {value} gesetzt (Revision {revision}). "
            "Dein Wert bleibt im Formular und würde ihn ersetzen."
        ),
    ),
    "not_live": (
        "This run is {state}: nobody is there to take an edit. The values are shown as they were last.",
        "Dieser Lauf ist {state}: niemand ist da, der eine Änderung nähme. Zu sehen sind die letzten Werte.",
    ),
    "probation": ("Apply on probation", "Auf Probe anwenden"),
    "probation_steps": ("Steps of probation", "Schritte auf Probe"),
    "probation_hint": (
        (
            "If the condition holds within these steps, the run goes back to the state before the edit by itself. "
            "A loss that is not finite always does."
        ),
        (
            "Tritt die Bedingung in diesen Schritten ein, geht der Lauf von selbst in den Stand vor der Änderung zurück. "
            "Ein Verlust, der nicht endlich ist, bewirkt das immer."
        ),
    ),
    "says.probation": (
        "On probation until step {step}: revision {revision} is taken back if {condition}.",
        "Auf Probe bis Schritt {step}: Revision {revision} wird zurückgenommen, wenn {condition}.",
    ),
    "revisions": ("Revisions", "Revisionen"),
    "go_back": ("Load revision {revision} into the form", "Revision {revision} ins Formular laden"),
    "go_back_short": ("Back to this one", "Zu dieser zurück"),
    "loaded": (
        "Values of revision {revision} are in the form. Check the preview, then apply.",
        "Die Werte von Revision {revision} stehen im Formular. Vorschau prüfen, dann anwenden.",
    ),
    "start": ("start of the run", "Start des Laufs"),
    "when": ("When", "Wann"),
    "who": ("Who", "Wer"),
    "what": ("What", "Was"),
    "why": ("Why", "Warum"),
    # runs
    "tracked_runs": ("Runs on the tracking server", "Läufe auf dem Tracking-Server"),
    "state": ("State", "Zustand"),
    "interventions": ("Edits", "Eingriffe"),
    "started": ("Started", "Begonnen"),
    "name": ("Name", "Name"),
    "actions": ("Actions", "Aktionen"),
    "commands": ("Commands", "Befehle"),
    "commands_and_actions": ("Actions and commands", "Aktionen und Befehle"),
    "open": ("open ↗", "öffnen ↗"),
    "checkpoints": ("Checkpoints", "Checkpoints"),
    "no_checkpoints": (
        "No checkpoint yet. The Checkpoint button on the monitoring page saves one now.",
        "Noch kein Checkpoint. Der Knopf Checkpoint auf der Überwachungsseite speichert sofort einen.",
    ),
    "size": ("Size", "Größe"),
    "where": ("Where", "Wo"),
    "here": ("here", "hier"),
    "pruned": ("removed here", "hier entfernt"),
    "in_mlflow": ("MLflow", "MLflow"),
    "copy": ("Copy", "Kopieren"),
    "copied": ("Copied", "Kopiert"),
    "cmd.status": ("Where it stands", "Wo er steht"),
    "cmd.history": ("Every event, checked", "Jedes Ereignis, geprüft"),
    "cmd.resume": ("Continue it", "Ihn fortsetzen"),
    "cmd.from": ("Go on from here as a new run", "Von hier als neuer Lauf weiter"),
    "cmd.restore": ("Restore into a folder", "In einen Ordner wiederherstellen"),
    "cmd.rollback": ("Roll the live run back", "Den laufenden Lauf zurücksetzen"),
    "cmd.promote": ("Promote to the registry", "In die Registry heben"),
    "cmd.replay": ("Replay from the record", "Aus der Aufzeichnung wiederholen"),
    "cmd.set": ("Edit from a terminal", "Aus dem Terminal ändern"),
    "do.rollback": WORDS["key.rollback"],
    "do.restore": ("Restore", "Wiederherstellen"),
    "do.from": ("New run", "Neuer Lauf"),
    "do.resume": ("Continue", "Fortsetzen"),
    "do.promote": ("Promote", "Befördern"),
    "do.replay": ("Replay", "Wiederholen"),
    "sure.rollback": (
        "Roll the run back to step {step}? What came after stays on record as a branch left behind.",
        "Den Lauf auf Schritt {step} zurücksetzen? Was danach kam, bleibt als verlassener Zweig aufgezeichnet.",
    ),
    "sure.restore": (
        "Restore the checkpoint of step {step} into {folder}? Every hash is checked; the run itself is not touched.",
        (
            "Den Checkpoint von Schritt {step} in {folder} wiederherstellen? Jede Prüfsumme wird geprüft; der Lauf "
            "selbst bleibt unberührt."
        ),
    ),
    "sure.from": (
        (
            "Start a new run from this one's checkpoint? It trains on this machine in a process of its own, goes on when "
            "this panel ends, and appears in the table of runs."
        ),
        (
            "Vom Checkpoint dieses Laufs aus einen neuen beginnen? Er trainiert auf diesem Rechner in einem eigenen "
            "Prozess, läuft weiter, wenn diese Oberfläche endet, und erscheint in der Tabelle der Läufe."
        ),
    ),
    "sure.resume": (
        "Continue this run where it ended? It trains on this machine and goes on when this panel ends.",
        (
            "Diesen Lauf fortsetzen, wo er geendet hat? Er trainiert auf diesem Rechner und läuft weiter, wenn diese "
            "Oberfläche endet."
        ),
    ),
    "sure.promote": (
        "Register the checkpoint of step {step} and point this alias at it? An alias that is taken moves here.",
        "Den Checkpoint von Schritt {step} registrieren und diesen Alias darauf zeigen lassen? Ein vergebener zieht um.",
    ),
    "sure.replay": (
        "Train this run again from its record and compare the weights bit by bit? It takes about as long as the run did.",
        (
            "Diesen Lauf aus seiner Aufzeichnung noch einmal trainieren und die Gewichte Bit für Bit vergleichen? Das "
            "dauert etwa so lange wie der Lauf."
        ),
    ),
    "sure.shared": (
        "Training on this machine now: {runs}. Both would share the device and be slower.",
        "Auf diesem Rechner trainiert gerade: {runs}. Beide würden sich das Gerät teilen und langsamer werden.",
    ),
    "alias": ("Alias", "Alias"),
    "jobs": ("Started from here", "Von hier gestartet"),
    "job.running": ("running", "läuft"),
    "job.ending": ("ending", "endet"),
    "job.done": ("done", "erledigt"),
    "job.failed": WORDS["state.failed"],
    "job.cancelled": ("cancelled", "abgebrochen"),
    "job.cancel": ("Cancel", "Abbrechen"),
    "job.output": ("Last lines", "Letzte Zeilen"),
    "job.started": ("Started: {line}", "Gestartet: {line}"),
    "job.cancelling": ("Asked to end: {line}", "Um Ende gebeten: {line}"),
    "compare": ("Compare", "Vergleichen"),
    "compare.pick": (
        "Tick two or more runs to compare them.",
        "Zwei oder mehr Läufe ankreuzen, um sie zu vergleichen.",
    ),
    "compare.own": (
        "Where their configs, edits and results part",
        "Wo sich Konfiguration, Eingriffe und Ergebnisse trennen",
    ),
    "compare.missing": (
        "Not in MLflow yet, so not to be compared there: {runs}",
        "Noch nicht in MLflow und dort nicht zu vergleichen: {runs}",
    ),
    "compare.apart": (
        "These runs are on different tracking servers; MLflow compares runs of one.",
        "Diese Läufe liegen auf verschiedenen Tracking-Servern; MLflow vergleicht die eines einzigen.",
    ),
    "compare.start": ("Start the MLflow UI on their store", "Die MLflow-Oberfläche zu ihrer Datenbank starten"),
    "compare.then": ("Then compare them there", "Dann dort vergleichen"),
    "open_mlflow": ("Open in MLflow", "In MLflow öffnen"),
    "compare_mlflow": ("Compare in MLflow", "In MLflow vergleichen"),
    "tracking_at": ("Tracking: {uri}", "Tracking: {uri}"),
    "tracking_none": ("The tracking server does not answer: {why}", "Der Tracking-Server antwortet nicht: {why}"),
    # nothing there yet
    "empty_title": ("No run here yet", "Noch kein Lauf hier"),
    "empty_text": (
        "Start one in a terminal. This page shows it as soon as it begins; no reload needed.",
        "Starte einen in einem Terminal. Diese Seite zeigt ihn, sobald er beginnt; Neuladen ist nicht nötig.",
    ),
    "empty_demo": ("A one-minute demonstration on a short real clip", "Eine Minute Vorführung an einem kurzen Clip"),
    "empty_own": ("On your own video or folder of frames", "Mit eigenem Video oder Ordner voller Einzelbilder"),
    "empty_look": (
        "First see what the trainer would make of a path",
        "Erst sehen, was der Trainer aus einem Pfad macht",
    ),
    "empty_where": ("Runs are looked for in {folder}", "Läufe werden gesucht in {folder}"),
    "no_such_run": ("There is no run {run} in {folder}.", "Es gibt keinen Lauf {run} in {folder}."),
    "unreadable": ("This part cannot be shown: {why}", "Dieser Teil lässt sich nicht zeigen: {why}"),
    # login
    "sign_in": ("Sign in", "Anmelden"),
    "user": ("Name", "Name"),
    "password": ("Password", "Passwort"),
    "wrong": ("Name or password is wrong.", "Name oder Passwort ist falsch."),
}

Texts = Callable[..., str]


def texts(language: str) -> Texts:
    """The function from a text's key (and its fields) to the sentence. Raises ValueError on an unknown language."""
    if language not in LANGUAGES:
        raise ValueError(f"no texts in {language!r}: there are {', '.join(LANGUAGES)}")
    column = LANGUAGES.index(language)

    def text(key: str, /, **fields: object) -> str:
        sentence = TEXTS[key][column]
        return sentence.format(**fields) if fields else sentence

    return text
