"""Reads and writes videos and images; knows nothing of clips, runs or networks. No torch."""

READER_VERSION = 2
"""The newest `reader_version` of a run config: how files become pixels.

1: FFmpeg's fast conversion of colours, an unnamed matrix is BT.601, orientation is ignored, Pillow cuts 16-bit RGB to its high
byte and 16-bit grey is refused, the first bad packet ends a film. Runs on record keep it.
2: exact colours, as upscaling reads them; orientation is applied; 16 bits are rounded to 8; bad packets are skipped.
"""
