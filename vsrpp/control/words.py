"""The words that panel, terminal and command line share, in English and German. What is a face's own stays with it."""

from __future__ import annotations

LANGUAGES = ("en", "de")

WORDS: dict[str, tuple[str, str]] = {
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
        ("The tracking server or its store does not let us in: the sign-in is wrong or has expired. Renew it; what waits "
        "then goes out, at the latest with: vsrpp sync {run}"),
        ("Der Tracking-Server oder sein Speicher lässt uns nicht ein: die Anmeldung ist falsch oder abgelaufen. Erneuern; "
        "was wartet, geht dann hinaus, spätestens mit: vsrpp sync {run}"),
    ),
    "means.disk_full": (
        "A disk is full, the tracking server's or this machine's. Make room; delivery then goes on by itself.",
        ("Eine Platte ist voll, die des Tracking-Servers oder die dieses Rechners. Platz schaffen; dann geht es von "
        "selbst weiter."),
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
}  # fmt: skip
