"""The training loop with its edits, checkpoints, validation and record, and the replay of a run from its record."""
