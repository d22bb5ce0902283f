"""Checkpoints: their content, how they are written and read, and which ones are kept."""
