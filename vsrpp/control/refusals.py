"""What a face says of a refusal or a warning, in its language: from code and fields, never from the English sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vsrpp import config
from vsrpp.config.text import show
from vsrpp.documents import RemarkDocument
from vsrpp.errors import VsrppError
from vsrpp.safe_text import safe
from vsrpp.store import Answer
from vsrpp.texts import Texts


def error_text(error: VsrppError, t: Texts) -> str:
    """A failure in one line."""
    return t.reason(error.reason_code, error.fields, str(error))


def problem_text(row: Mapping[str, Any], t: Texts) -> str:
    """Why one value is refused, without its name: a row of `Answer.errors`, `Preview.errors` or an event's `errors`."""
    problem = config.Problem.from_json(row)
    return t.reason(problem.reason_code, problem.fields, problem.message)


def remark_text(row: RemarkDocument, t: Texts) -> str:
    """A warning, or why there is nothing to show."""
    return t.reason(row["reason_code"], row["fields"], row["message"])


def because_text(because: Mapping[str, Any] | None, english: str, t: Texts) -> str:
    """A recorded sentence, from the {reason_code, fields} beside it if the record has them."""
    return (
        t.reason(str(because.get("reason_code", "")), because.get("fields") or {}, english)
        if because
        else safe(english)
    )


def answer_text(answer: Answer, live: Mapping[str, Any], t: Texts) -> str:
    """Why a command was refused or is still pending; for an edit with what holds instead. `live` is what is in force."""
    if answer.errors:
        return (
            refusal_line(answer.errors, answer.revision or 0, live, t) if t.language != "en" else safe(answer.message)
        )
    return t.reason(answer.reason_code, answer.fields, answer.message)


def refusal_line(errors: Collection[Mapping[str, Any]], revision: int, live: Mapping[str, Any], t: Texts) -> str:
    """`max_lr = 0.5 refused: must be between 1e-05 and 0.001. Still at revision 6 (max_lr = 0.0002).`"""
    if t.language == "en":
        return config.refusal_line([config.Problem.from_json(row) for row in errors], revision, live)
    told = "; ".join(_one(row, t) for row in errors)
    keys = dict.fromkeys(str(row.get("key", "")) for row in errors)
    values = ", ".join(f"{key} = {show(live[key])}" for key in keys if key in live)
    still = (
        t("refusal.still.values", revision=revision, values=values) if values else t("refusal.still", revision=revision)
    )
    return f"{told}. {still}"


def _one(row: Mapping[str, Any], t: Texts) -> str:
    if not row.get("key"):
        return t("refusal.edit", why=problem_text(row, t))
    return t("refusal.value", key=row["key"], value=show(row.get("value")), why=problem_text(row, t))
