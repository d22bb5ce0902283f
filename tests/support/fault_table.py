"""All faults that `scripts/prove_faults` does, those of its short form, and what it cannot do."""

from __future__ import annotations

from tests.support import faults_access, faults_environment, faults_files
from tests.support.faulting import Fault

FAULTS: list[Fault] = [*faults_environment.FAULTS, *faults_files.FAULTS, *faults_access.FAULTS]
SHORT = frozenset({"run folder full for some seconds", "unreadable frame while training"})
"""What no other test does to a whole process, one of a kind."""
NOT_TRIED = {
    "a power failure": "needs a machine to switch off; kill -9 and full synchronisation of events stand in for it",
    "NFS, Lustre, GPFS": "no server here; the store then uses a rollback journal instead of WAL, which the tests cover",
    "a GPU that is lost or runs out of memory": "no GPU here; out of memory on the host is tested",
    "a worn disk that returns other bytes than were written": "checkpoints are read back by hash, the record by its chain",
}
"""What a user's machine may meet and this script cannot do, and why."""
