"""Why a plug-in is refused: one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import NotFound, ProofFailed, Reason, VsrppError

NO_FILE = Reason("not_found.plugin", "No plug-in file {file}; looked in {folders}.", NotFound)
NO_MODULE = Reason(
    "not_found.plugin_module", "No plug-in {name}: no such module, and no entry point of that name.", NotFound
)
NO_ATTRIBUTE = Reason("refused.plugin_attribute", "{where}: {source} has no {name}; it provides {provided}.")
NOT_IMPORTED = Reason("refused.plugin_import", "{where}: {source} cannot be imported: {error}.")
NOTHING_PROVIDED = Reason(
    "refused.plugin_empty",
    "{where}: {source} provides nothing: mark what it provides with a decorator of vsrpp.plugins.",
)
UNSEEN_IMPORT = Reason(
    "refused.plugin_unseen_import",
    "{where}: {source} imports {file} in a way that cannot be read from its text, so that the file would not be part of the"
    " run's record. Import it with an import statement.",
)
DOES_NOT_FIT = Reason("refused.plugin_fit", "{where}: {name} does not fit: {why}.")
METRIC_FAILED = Reason("failed.plugin_metric", "The metric {name} of a plug-in fails: {cause}.", VsrppError)
WRONG_KIND = Reason("refused.plugin_kind", "{where}: {name} is declared as {declared}, and {key} needs {kind}.")
NAME_TAKEN = Reason("refused.plugin_name", "{where}: {name} is a name that {owner} already uses; choose another.")
SECOND_VERSION = Reason(
    "refused.plugin_second_version",
    "{source} is already imported from {path}, which differs from the source on record; use a separate process.",
)
NOT_LOADED = Reason("refused.plugin_not_loaded", "{name} is a plug-in that has not been loaded in this process.")
NO_SOURCE = Reason(
    "not_found.plugin_source",
    "The source of plug-in {source} is neither at {path} nor on record in {folder}.",
    NotFound,
)
BAD_SOURCES = Reason(
    "proof_failed.plugin_source",
    "{file} is damaged: the source of {source} does not have the recorded SHA-256.",
    ProofFailed,
)
OTHER_RECORD = Reason(
    "proof_failed.plugin_record", "{folder}: the record of {source} does not match its code: {why}.", ProofFailed
)
CHANGED = Reason(
    "refused.plugin_changed",
    "The code of {source} has changed since the run started: {difference}. Undo the change, move the file away to use the"
    " recorded source, or allow it with --allow-changed-code.",
)
NOT_TRUSTED = Reason(
    "refused.plugin_trust",
    "{source} is other people's code, recorded in {folder}, and this account has never named it. Read it ({file}); to run it,"
    " give --trust-code {sha256}.",
)
