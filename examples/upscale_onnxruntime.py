"""Upscale a video with an exported network: python upscale_onnxruntime.py network.onnx input.mp4 output.mp4

Needs onnxruntime, av and numpy. The network is one of `vsrpp export RUN network.onnx --to onnx` (docs/export.md).
"""

import itertools
import sys

import av
import numpy as np
import onnxruntime

network, source, target = sys.argv[1:]
session = onnxruntime.InferenceSession(network, providers=onnxruntime.get_available_providers())
length = session.get_inputs()[0].shape[1]  # frames that the file takes at once
margin = length // 4  # read on either side of the frames that are kept


def upscale(clip):  # (h, w, 3) uint8 frames, at most `length` -> as many, (H, W, 3) uint8
    frames = np.stack(clip + clip[-1:] * (length - len(clip))).transpose(0, 3, 1, 2)[None]
    (upscaled,) = session.run(["upscaled"], {"frames": frames.astype(np.float32) / 255})
    return np.rint(upscaled[0, : len(clip)].clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)


with av.open(source) as video, av.open(target, "w") as output:
    stream = output.add_stream("libx264", rate=video.streams.video[0].average_rate, options={"crf": "12"})
    clip, seen = [], 0  # `seen`: how many frames of `clip` are written already
    for frame in itertools.chain(video.decode(video=0), [None]):  # None: the end
        clip += [] if frame is None else [frame.to_ndarray(format="rgb24")]
        if len(clip) < length and not (frame is None and len(clip) > seen):
            continue
        keep = len(clip) if frame is None else length - margin
        for picture in upscale(clip)[seen:keep]:
            if not stream.codec_context.is_open:
                stream.height, stream.width = picture.shape[:2]
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        clip, seen = clip[keep - margin :], margin
    output.mux(stream.encode(None))
