"""Helpers shared by tests and scripts: clips, runs, processes, servers, and drivers of the user interfaces."""
