"""Training samples and validation clips from video files and folders of frames. Only `loader` imports torch."""

from __future__ import annotations

from vsrpp.data.block import with_absolute_paths
from vsrpp.data.clip_notes import note_lines
from vsrpp.data.dataset import Data, ValClip, describe, find_all, look_at_data, open_data, val_sample_of
from vsrpp.data.identity import datasets
from vsrpp.data.layouts import find, inspect
from vsrpp.data.read_all import read_all
from vsrpp.data.sample import sample_clip
from vsrpp.data.sources import Clip, iter_frames, read_frames
from vsrpp.data.split import Span, Split
from vsrpp.data.trainset import TrainSet
from vsrpp.data.val_sample import sample_line

__all__ = [
    "Clip",
    "Data",
    "Span",
    "Split",
    "TrainSet",
    "ValClip",
    "datasets",
    "describe",
    "find",
    "find_all",
    "inspect",
    "iter_frames",
    "look_at_data",
    "note_lines",
    "open_data",
    "read_all",
    "read_frames",
    "sample_clip",
    "sample_line",
    "val_sample_of",
    "with_absolute_paths",
]
