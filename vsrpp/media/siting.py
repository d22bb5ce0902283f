"""Asks FFmpeg where the chroma samples of a frame are. PyAV has no attribute for it, so FFmpeg's `showinfo` filter is read."""

from __future__ import annotations

import re
import threading
from fractions import Fraction

import av

_FOUND = re.compile(r" cl:(left|center|topleft)\b")
_LEVEL = threading.Lock()
"""The level of FFmpeg's log belongs to the whole process."""


def siting_of(frame: av.VideoFrame) -> str:
    """`left`, `center` or `topleft`; `left`, as players assume, if the file does not say or has another place."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 25)
    )
    graph.link_nodes(source, graph.add("showinfo", "checksum=0"), graph.add("buffersink")).configure()
    with _LEVEL:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            with av.logging.Capture() as lines:
                graph.vpush(frame)
                graph.vpull()
        finally:
            av.logging.set_level(level)
    found = (_FOUND.search(text) for _, name, text in lines if "showinfo" in name)
    return next((match[1] for match in found if match), "left")
