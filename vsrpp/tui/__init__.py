"""The terminal UI: a live or finished run in a terminal, over SSH too. Reads the store, asks through `control`."""
