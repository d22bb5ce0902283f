"""Inference with trained networks: upscaling clips of any length in bounded memory, video files, and evaluation."""
