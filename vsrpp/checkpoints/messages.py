"""Why a checkpoint cannot be used: one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import NotFound, ProofFailed, Reason

NO_CHECKPOINT = Reason(
    "not_found.checkpoints.no_checkpoint", "{folder} contains no checkpoint (no {manifest}).", NotFound
)
UNREADABLE_MANIFEST = Reason(
    "proof_failed.checkpoints.unreadable_manifest", "{file} cannot be read: {cause}.", ProofFailed
)
NOT_A_MANIFEST = Reason(
    "proof_failed.checkpoints.not_a_manifest", "{file} is not a whole checkpoint manifest: {cause}.", ProofFailed
)
FILE_MISSING = Reason(
    "proof_failed.checkpoints.file_missing", "{folder} is incomplete: {name} is missing.", ProofFailed
)
FILE_CHANGED = Reason(
    "proof_failed.checkpoints.file_changed",
    "{file} was changed: its SHA-256 differs from the one in the manifest.",
    ProofFailed,
)
UNSAFE_STATE = Reason(
    "refused.checkpoints.unsafe_state",
    "{file} is damaged, or holds more than tensors and plain values; VSR++ never runs the code in such a file.",
)
NOT_RESTORED = Reason(
    "refused.checkpoints.not_restored", "{folder} does not fit the run's network and optimizer: {cause}."
)
NOT_FINITE = Reason(
    "refused.checkpoints.not_finite",
    "{file} has values that are not finite (in {tensor}); nothing can be trained from it. Use an earlier checkpoint.",
)
NOT_LOADED = Reason("refused.checkpoints.not_loaded", "{folder} cannot be loaded: {cause}.")
