"""Video files and folders of frames, made into training samples and validation clips; only `loader` has torch."""

from __future__ import annotations

from vsrpp.data.dataset import Data, ValClip, describe, open_data
from vsrpp.data.identity import datasets
from vsrpp.data.sample import sample_clip
from vsrpp.data.sources import Clip, inspect, iter_frames, read_frames
from vsrpp.data.split import Span, Split
from vsrpp.data.trainset import TrainSet

__all__ = [
    "Clip",
    "Data",
    "Span",
    "Split",
    "TrainSet",
    "ValClip",
    "datasets",
    "describe",
    "inspect",
    "iter_frames",
    "open_data",
    "read_frames",
    "sample_clip",
]
