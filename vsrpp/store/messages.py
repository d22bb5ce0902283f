"""What the store says when it refuses or fails."""

from __future__ import annotations

from vsrpp.errors import NotFound, Reason, TimedOut, VsrppError

NO_ANSWER_YET = Reason("timed_out", "no answer within {timeout_s} s; the command is still pending", TimedOut)
ENDED_UNANSWERED = Reason("timed_out.ended", "the run ended before it answered", TimedOut)
NO_STORE = Reason("not_found.store", "{path} does not exist.", NotFound)
STORE_UNOPENED = Reason("failed.store_open", "{path} cannot be opened: {why}.", VsrppError)
STORE_UNREADABLE = Reason("failed.store_read", "{path} cannot be read: {why}.", VsrppError)
STORE_EMPTY = Reason("failed.store_empty", "{path} contains no run.", VsrppError)
