"""Posts to a webhook: follows no redirect, and reaches no link-local address or metadata service of a cloud.

The address is checked after the name is resolved, and the connection is made to the very address that was checked.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

from vsrpp.control.alerts import is_link_local
from vsrpp.safe_text import safe

TIMEOUT_S = 10.0


class WebhookError(OSError):
    """The webhook answered with an error status, or with a redirect."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the webhook answered {status}")
        self.status = status


class WebhookForbidden(OSError):
    """The webhook's name leads to a link-local address only."""


def post(url: str, body: dict[str, Any], key: str, *, link_local: bool = False) -> int:
    """Post the body; returns the HTTP status. `link_local`: also to a link-local address or a metadata service.

    Raises WebhookError for an error status or a redirect, OSError without a response.
    """
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), method="POST",
        headers={"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "vsrpp"},
    )  # fmt: skip
    handlers = (_NoRedirect(), _Http(), _Https()) if link_local else (_NoRedirect(), _CheckedHttp(), _CheckedHttps())
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        raise WebhookError(error.code) from None
    except (ValueError, HTTPException, urllib.error.URLError) as error:  # its text may contain the secret address
        reason = getattr(error, "reason", None)
        why = safe(str(reason)) if isinstance(reason, OSError) else type(error).__name__
        raise OSError(f"the webhook cannot be reached: {why}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_Http, _Https = urllib.request.HTTPHandler, urllib.request.HTTPSHandler


class _CheckedHttp(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_checked(HTTPConnection), request)


class _CheckedHttps(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_checked(HTTPSConnection), request)


def _checked(kind: Any) -> Any:
    class Checked(kind):
        def __init__(self, *where: Any, **how: Any) -> None:
            super().__init__(*where, **how)
            self._create_connection = _connect  # what http.client makes its sockets with

    return Checked


def _connect(address: tuple[str, int], timeout: Any = TIMEOUT_S, source: Any = None) -> socket.socket:
    """Like `socket.create_connection`, to no link-local address."""
    found = [row[4] for row in socket.getaddrinfo(*address, type=socket.SOCK_STREAM)]
    allowed = [place for place in found if not is_link_local(str(place[0]))]
    failure: OSError = WebhookForbidden(
        "it is a link-local address or a metadata service; allow that with alerts_link_local = true"
    )
    for place in allowed:
        try:
            return socket.create_connection((str(place[0]), int(place[1])), timeout, source)
        except OSError as error:
            failure = error
    raise failure
