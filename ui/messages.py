"""The texts of the panel: the catalogues' (`vsrpp.texts`), and the choice between their languages."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from vsrpp.control.face_keys import FACE_KEYS
from vsrpp.control.roles import ROLE_WORDS
from vsrpp.texts import LANGUAGES, Texts

__all__ = ["BUILT_KEYS", "LANGUAGES", "Texts", "preferred", "texts"]

MLFLOW_STATES = ("running", "scheduled", "finished", "failed", "killed")
BUILT_KEYS: dict[str, tuple[str, ...]] = {
    **FACE_KEYS,
    "use.{}": ("cpu", "gpu"),
    "tier.{}": ("safe", "careful"),
    "job.{}": ("running", "ending", "done", "failed", "cancelled"),
    "do.{}": ("rollback", "restore", "from", "resume", "promote", "replay"),
    "mlflow.{}": MLFLOW_STATES,
    "sure.{}": ("rollback", "restore", "from", "resume", "promote", "replay"),
    "role.{}": ROLE_WORDS,
    "role.note.{}": ("viewer", "operator"),
    "cmd.{}": ("status", "history", "set", "rollback", "restore", "from", "resume", "promote", "replay"),
    "{}": (
        "monitoring", "config", "runs", "pause", "resume", "stop", "validate", "checkpoint", "layer", "value", "backward",
        "forward", "fusion", "no_activity", "peak_activity", "bicubic", "output", "truth", "parameter", "old", "new",
        "revision", "step", "what", "who", "why", "when", "name", "state", "best", "interventions", "started", "psnr",
        "gain", "ssim", "size", "where", "actions", "empty_demo", "empty_own", "empty_look", "stale_merged",
        "stale_conflict",
    ),
}  # fmt: skip
"""Keys that are put together from parts, or handed on in a variable (`{}`), with the parts there are."""


@cache
def texts(language: str) -> Texts:
    """The function from a text's key (and its fields) to the sentence. Raises ValueError on an unknown language."""
    return Texts(language, face="panel")


def preferred(asked: str | None, configured: str | None, accepted: str) -> str:
    """The language of a page: the one its address asks for, else `--lang`, else what the browser accepts, else English.

    `accepted` is an Accept-Language header, such as `de-CH,de;q=0.9,en;q=0.5`.
    """
    for language in (asked, configured, *_by_weight(accepted)):
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def _by_weight(header: str) -> Iterable[str]:
    """The languages of an Accept-Language header without their regions, most wanted first."""
    weighted = []
    for part in header[:500].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            weighted.append((float(weight or 1), tag.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    return [language for weight, language in sorted(weighted, key=lambda one: -one[0]) if weight > 0]
