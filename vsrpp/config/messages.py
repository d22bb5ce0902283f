"""What reading a config file has to say: the sentences of its refusals, each beside its reason code."""

from __future__ import annotations

from vsrpp.errors import Reason

CONFIG_REFUSED = Reason("refused.config", "{why}")
"""`causes` holds the same, one problem each."""
FOREIGN_FILE = Reason(
    "refused.foreign_config",
    "{file} refused: it is a {kind} option file. Write a config of your own; these of its keys have a counterpart here:",
)
COUNTERPART = "  {theirs} = {value} → {ours}"
WHOLE_BATCH = "  (batch_size is the whole batch, of all processes; everything else has a default: docs/parameters.md)"
