"""What a string from a person, a file or a library may contain once it is shown or recorded.

`redact` shortens an address to what is public: never its user, password, query or fragment. `redact_text` does so for
every address inside a sentence. `printable` makes characters visible that would steer a terminal, forge a line or reverse
text. What of an address may be shown is listed, not what is hidden, so that an odd password cannot slip through.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import PurePath
from typing import Any

HIDDEN = "…"
_HOST = re.compile(r"(?:\w[\w.-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
"""Host and port as they may be shown; anything else is hidden."""
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?(.*)", re.DOTALL)
_START = re.compile(r"(?<![A-Za-z0-9+.-])(?:[A-Za-z][A-Za-z0-9+.-]*://|https?:/?(?=[^\s/]))", re.IGNORECASE)
_STOP = re.compile(r"[\s\"'<>`]|$")
_LOGIN = re.compile(r"(?<![^\s\"'(=<,\[])[^\s:@/\"'<>`]+:(?!/)[^\s@\"'<>`]+@[^\s\"'<>`]*")
"""`user:password@host`, an address whose scheme was forgotten."""
_REQUEST = re.compile(r"(\burl: /[^\s?#]*)[?#][^\s]*?(?=[\s)\"']|$)")
"""How urllib3 names the request that failed."""
_PLACES = frozenset({
    "sqlite", "postgresql", "postgres", "mysql", "mssql", "oracle", "file", "s3", "gs", "wasb", "wasbs", "abfs", "abfss",
    "hdfs", "viewfs", "dbfs", "ftp", "sftp", "r2", "mlflow-artifacts", "databricks", "databricks-uc", "uc", "models", "runs",
})  # fmt: skip
"""Schemes that only tracking and artifact addresses have: their path is no secret."""
_FOLDERS = frozenset({"file", "sqlite"})
_NAMES = frozenset({"models", "runs"})
"""Schemes of names within a server: `models:/vsrpp@best`."""
_ENVIRONMENT = (("MLFLOW_TRACKING_URI", True), ("MLFLOW_REGISTRY_URI", True), ("VSRPP_ALERTS_URL", False))
_SHORTEST = 6
"""Characters; a shorter address is not searched for in texts."""

_public: set[str] = set()
"""Addresses that may be shown as they are."""
_private: dict[str, str] = {}
"""Addresses seen by this process -> what may be shown of them; found in a text whatever they contain."""


def redact(address: str, *, path: bool = False) -> str:
    """What may be shown of an address: scheme, host and port, and with `path`, for a tracking or artifact address, its path.

    A part that cannot be told from a password is hidden: `http://…`. `redact_text` then knows both forms.
    """
    shown = _shown(address, path=path)
    if path:
        _public.add(shown)
    if shown != address and len(address) >= _SHORTEST and (path or address not in _private):
        _private[address] = shown
        _remember_parts(address, path=path)
    return shown


def _remember_parts(address: str, *, path: bool) -> None:
    """Also know the address as it is once something has split it at an @, as RUN@STEP is."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return
    for match in re.finditer("@", rest):
        head, tail = f"{scheme}://{rest[: match.start()]}", rest[match.end() :]
        _private.setdefault(head, f"{scheme}://{HIDDEN}")
        shown = _shown(f"{scheme}://{tail}", path=path).removeprefix(f"{scheme}://")
        if path and shown == tail:
            _private.pop(tail, None)
        elif shown != tail and len(tail) >= _SHORTEST and (path or tail not in _private):
            _private[tail] = shown


def public(text: str) -> str:
    """The same text; from now on `redact_text` leaves its addresses as they are. For the panel's link."""
    _public.update(_trimmed(text[match.start() : _end(text, match.end())]) for match in _START.finditer(text))
    return text


def remember(word: str) -> None:
    """Take note of the addresses in a word of the command line, so that a message that repeats one is redacted."""
    match = _START.search(word)
    if match is not None:
        redact(word[match.start() :])


def forget() -> None:
    """Forget the addresses seen so far, as a process that has just started knows none."""
    _public.clear()
    _private.clear()
    _read_environment.cache_clear()


def redact_text(text: str) -> str:
    """The text with every address in it redacted; of an unknown kind, so that only scheme, host and port stay."""
    _read_environment()
    if any(map(text.__contains__, _private)):
        for address in sorted(_private, key=len, reverse=True):
            text = text.replace(address, _private[address])
    if "http" not in text and "://" not in text and "@" not in text and "url: " not in text:
        return text
    parts: list[str] = []
    at = 0
    while (match := _START.search(text, at)) is not None:
        parts.append(_plain(text[at : match.start()]))
        token = _trimmed(text[match.start() : _end(text, match.end())])
        at = match.start() + len(token)
        login = None if token in _public else _login_end(text, match.end(), at)
        if login is not None:
            parts.append(f"{match[0].partition(':')[0]}://{HIDDEN}")
            at = login
        else:
            parts.append(token if token in _public else _shown(token))
    return "".join([*parts, _plain(text[at:])])


@cache
def _read_environment() -> None:
    """Take note, once, of the addresses that libraries read from the environment themselves."""
    for name, path in _ENVIRONMENT:
        if address := os.environ.get(name):
            redact(address, path=path)


def printable(text: str) -> str:
    """The text on one line, with control characters, line breaks, bidirectional marks and lone surrogates made
    visible: `\\x1b`, `\\n`, `\\u202e`. A tab becomes a space.
    """
    return text if text.isprintable() else _UNSHOWN.sub(lambda match: _visible(match[0]), text)


def safe(text: str) -> str:
    """The text redacted and printable."""
    return printable(redact_text(text))


def safe_lines(text: str) -> str:
    """The same for text of our own with several lines."""
    return "\n".join(printable(line) for line in redact_text(text).split("\n"))


def safe_data(value: Any) -> Any:
    """Data with every text in it safe: what fills in a sentence."""
    return _each(value, safe)


def redact_data(value: Any) -> Any:
    """Data with every address in its texts redacted: what is recorded."""
    return _each(value, redact_text)


def redact_log_records() -> None:
    """Redact what this process logs, through whatever logger and handler: a library may repeat an address."""
    import logging

    make = logging.getLogRecordFactory()
    if hasattr(make, "redacts"):
        return

    def redacted(*what: Any, **how: Any) -> logging.LogRecord:
        record = make(*what, **how)
        with contextlib.suppress(TypeError, ValueError):  # arguments that do not fit: logging reports that itself
            record.msg, record.args = safe_lines(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = safe_lines(logging.Formatter().formatException(record.exc_info))
        return record

    redacted.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacted)


_UNSHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def _visible(sign: str) -> str:
    return " " if sign == "\t" else sign.encode("unicode_escape").decode()


def escape_json(text: str) -> str:
    """JSON with the characters escaped that `printable` makes visible; the line breaks between values stay."""
    return _UNSHOWN.sub(lambda match: match[0] if match[0] == "\n" else _json_escape(match[0]), text)


def _json_escape(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, (PurePath, BaseException)):
        changed = change(str(value))
        return value if changed == str(value) else changed
    if isinstance(value, Mapping):
        return {(change(key) if isinstance(key, str) else key): _each(one, change) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        changed = [_each(one, change) for one in value]
        return tuple(changed) if type(value) is tuple else changed
    return value


def _shown(address: str, *, path: bool = False) -> str:
    match = _PARTS.fullmatch(address)
    scheme = match[1].lower().partition("+")[0] if match else ""
    if match is None or not (match[2] or scheme in ("http", "https") or scheme in _PLACES):
        folder = address.startswith(("/", ".", "~")) or not re.search("[:@]" if path else "[:@/]", address)
        return _without_query(address) if folder else HIDDEN
    rest = match[3]
    if scheme in ("http", "https"):
        rest = rest.lstrip("/")
    elif not match[2]:
        odd = ":" in rest or ("@" in rest and scheme not in _FOLDERS | _NAMES)
        return HIDDEN if odd else f"{match[1]}:{_without_query(rest)}"
    start = f"{match[1]}://"
    if rest.startswith("/"):
        local = _without_query(rest)
        return start + (local if scheme in _FOLDERS or not {"@", ":"} & set(rest) else HIDDEN)
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    after, host = rest[len(authority) :], authority.rpartition("@")[2]
    if "@" in after or not _HOST.fullmatch(host):
        return start + HIDDEN
    if path or scheme in _PLACES:
        return start + host + _without_query(after)
    return start + host + (f"/{HIDDEN}" if after.strip("/") else "")


def _without_query(text: str) -> str:
    return re.split(r"[?#;\\]", text, maxsplit=1)[0]


def _end(text: str, start: int) -> int:
    """Where an address that began before `start` ends."""
    match = _STOP.search(text, start)
    return match.start() if match else len(text)


def _trimmed(token: str) -> str:
    """Without the punctuation of the sentence around it."""
    closing = ".,;:!?" + "".join(close for open_, close in ("()", "[]", "{}") if open_ not in token)
    return token.rstrip(closing)


def _login_end(text: str, start: int, end: int) -> int | None:
    """The end of an address whose password contains a space or a quote; None if it does not look like that."""
    authority = re.split(r"[/?#\\]", text[start:end], maxsplit=1)[0]
    if "@" in text[start:end] or ":" not in authority or _HOST.fullmatch(authority):
        return None
    line = text[start:].split("\n", 1)[0]
    following = _START.search(line)
    at = line.rfind("@", 0, following.start() if following else len(line))
    return None if at < 0 else _end(text, start + at)


def _plain(text: str) -> str:
    return _REQUEST.sub(r"\1", _LOGIN.sub(HIDDEN, text))
