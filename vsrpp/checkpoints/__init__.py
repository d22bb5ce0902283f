"""Checkpoints: what one holds, how it is written and read, and which ones are kept."""
