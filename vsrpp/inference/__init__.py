"""Trained networks at work: a clip of any length in bounded memory, video files, and evaluation."""
