"""What the store says when it refuses or fails."""

from __future__ import annotations

from vsrpp.errors import NotFound, Reason, Refused, TimedOut, VsrppError
from vsrpp.store.faults import StoreDamaged, StoreUnreadable

NO_ANSWER_YET = Reason("timed_out", "no answer within {timeout_s} s; the command is still pending", TimedOut)
ENDED_UNANSWERED = Reason("timed_out.ended", "the run ended before it answered", TimedOut)
NO_STORE = Reason("not_found.store", "{path} does not exist.", NotFound)
STORE_UNOPENED = Reason("failed.store_open", "{path} cannot be opened: {why}.", VsrppError)
STORE_UNREADABLE = Reason("failed.store_read", "{path} cannot be read: {why}.", StoreUnreadable)
_REBUILD = "Restore a backup of the run folder, or rebuild the run from MLflow: vsrpp rebuild {folder}"
_INBOX = "It contains only commands: once the run has ended, vsrpp train --resume {folder} and vsrpp sync {folder} set it aside."
_DELIVERY = (
    "It only says what has been uploaded: vsrpp sync {folder} and vsrpp train --resume {folder} set it aside and upload"
    " everything again."
)
RECORD_DAMAGED = Reason("failed.record_damaged", f"{{path}} is damaged: {{why}}. {_REBUILD}", StoreDamaged)
INBOX_DAMAGED = Reason("failed.inbox_damaged", f"{{path}} is damaged: {{why}}. {_INBOX}", StoreDamaged)
DELIVERY_DAMAGED = Reason("failed.delivery_damaged", f"{{path}} is damaged: {{why}}. {_DELIVERY}", StoreDamaged)
RECORD_INCOMPLETE = Reason("failed.record_incomplete", f"{{path}} is incomplete: {{why}}. {_REBUILD}", StoreUnreadable)
STORE_EMPTY = Reason("failed.store_empty", "{path} contains no run.", VsrppError)
STORE_LOCKED = Reason(
    "failed.store_locked",
    "{path} has been locked by another process for {timeout_s} s, so nothing was sent; training continues.",
    VsrppError,
)
STORE_UNWRITTEN = Reason("failed.store_write", "{path} cannot be written, so nothing was sent: {why}.", VsrppError)
RECORD_UNWRITTEN = Reason("failed.record_write", "{path} cannot be written: {why}.", VsrppError)
STORE_NEWER = Reason(
    "refused.store_version",
    "{path} was written by a newer VSR++ (store version {theirs}; this one writes {ours}): it can be read, not changed."
    " Use the newer version.",
    Refused,
)
ANSWER_UNREADABLE = Reason("failed.answer", "the run's answer cannot be read: {why}", VsrppError)

# ---- rows of the inbox that are no command of this version
UNKNOWN_COMMAND = Reason(
    "refused.command_kind", "unknown command {kind}; this run knows {known}. Does it come from a newer VSR++?"
)
COMMAND_TOO_LARGE = Reason("refused.command_size", "the command is {size} bytes; a command has at most {limit}")
COMMAND_NOT_UTF8 = Reason("refused.command_encoding", "the command's {field} is not UTF-8 (byte {byte})")
COMMAND_TYPE = Reason("refused.command_type", "the command's {field} must be {wanted}, not {found}")
COMMAND_NOT_JSON = Reason("refused.command_json", "the command's payload is not usable as JSON: {why}")
COMMAND_TOO_DEEP = Reason("refused.command_depth", "the command's payload is nested more than {limit} levels deep")

# ---- signing keys
NO_KEY_FILE = Reason(
    "not_found.key_file",
    "{path} does not exist: there is no key. Make one: openssl genpkey -algorithm ed25519 -out KEY.pem",
    NotFound,
)
KEY_UNREADABLE = Reason("refused.key_file", "{path} cannot be read as a key: {why}.")
KEY_OPEN = Reason(
    "refused.key_mode", "{path} refused: other accounts may read this key (mode {mode}). Close it: chmod 600 {path}"
)
KEY_ENCRYPTED = Reason(
    "refused.key_encrypted",
    "{path} refused: the key is encrypted, and a training cannot ask for its passphrase. Decrypt it:"
    " openssl pkey -in {path} -out KEY.pem",
)
NO_PRIVATE_KEY = Reason(
    "refused.private_key",
    "{path} refused: not an Ed25519 private key in PEM format. Make one: openssl genpkey -algorithm ed25519 -out KEY.pem",
)
NO_PUBLIC_KEY = Reason(
    "refused.public_key",
    "{path} refused: not an Ed25519 public key in PEM format. Make it from the private key: openssl pkey -in KEY.pem"
    " -pubout -out PUBLIC.pem",
)
SIGNED_RUN = Reason(
    "refused.signed_run",
    "run {run} is signed with key {key}, and {path} does not exist: name the key's file in VSRPP_SIGNING_KEY. Without the"
    " key, start a new run: vsrpp train --from {run}",
)
OTHER_KEY = Reason(
    "refused.other_key",
    "run {run} is signed with key {key}, but {path} is key {other}: only the same key continues it.",
)
