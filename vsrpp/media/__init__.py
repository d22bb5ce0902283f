"""Reads and writes videos and images; knows nothing of clips, runs or networks. No torch."""
