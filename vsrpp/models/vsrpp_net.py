"""The `vsrpp` network: bidirectional recurrence over the frames of a clip, without optical flow.

Shapes: N clips, T frames, C features, h × w pixels of low resolution, H × W = scale·h × scale·w.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.models.bicubic import BicubicUpscale
from vsrpp.models.network import Network

SLOPE = 0.1
RESIDUAL_GAIN = 0.1
MID_GREY = 0.5
"""Subtracted from the pictures: 300 steps of a small network on bikes.mp4 gain 0.61 dB over bicubic, without it 0.41 dB."""
STATE_LEAK = 0.7
"""What of the hidden state reaches the next frame in version 2. `scripts/bench_recurrence` compares it with version 1."""
FUSION_LAYERS = 3
SHUFFLE_FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}


def _conv(in_channels: int, out_channels: int, kernel: int = 3, *, gain: float = 1.0) -> nn.Conv2d:
    """A size-preserving convolution with zero padding, He's initialisation times `gain`, and zero bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, a=SLOPE)
    conv.weight.data.mul_(gain)
    conv.bias = nn.Parameter(torch.zeros(out_channels))
    return conv


def _act() -> nn.LeakyReLU:
    return nn.LeakyReLU(
        SLOPE, inplace=True
    )  # in place is safe after a convolution, whose backward does not need its output


class ResidualBlock(nn.Module):
    """A residual block of two 3×3 convolutions, initialised to a tenth of He's rule, like BasicSR's ResidualBlockNoBN."""

    def __init__(self, n_feats: int) -> None:
        super().__init__()
        self.conv1 = _conv(n_feats, n_feats, gain=RESIDUAL_GAIN)
        self.act = _act()
        self.conv2 = _conv(n_feats, n_feats, gain=RESIDUAL_GAIN)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv2(self.act(self.conv1(features)))


def bounded(hidden: Tensor) -> Tensor:
    """A hidden state (N, C, h, w) as the next frame reads it: shrunk, and at each pixel of a size (RMS) below STATE_LEAK.

    Training sees a few frames, so it does not notice a state that grows from frame to frame. This one forgets instead, and
    the direction of a large state is kept while its size saturates.
    """
    return hidden * (STATE_LEAK * torch.rsqrt(1.0 + hidden.square().mean(dim=1, keepdim=True)))


class Trunk(nn.Module):
    """One direction: a convolution over the concatenated inputs of a frame, then residual blocks; the next hidden state."""

    def __init__(self, in_channels: int, n_feats: int, n_blocks: int, *, bound: bool) -> None:
        super().__init__()
        self.bound = bound
        self.head = nn.Sequential(_conv(in_channels, n_feats), _act())
        self.blocks = nn.Sequential(*(ResidualBlock(n_feats) for _ in range(n_blocks)))

    def forward(self, picture: Tensor, hidden: Tensor, *more: Tensor) -> Tensor:
        if self.bound:
            hidden = bounded(hidden)
        return self.blocks(self.head(torch.cat((picture, hidden, *more), dim=1)))


class GatedJoin(nn.Module):
    """Joins both directions, (N, 2C, h, w) -> (N, C, h, w): a 1×1 convolution, multiplied by a gate in 0 … 2.

    The gate sees both directions over 3×3 pixels, so it can suppress one that is occluded or misaligned there. It starts
    at 1 everywhere, which makes an untrained gate equal to the plain join.
    """

    def __init__(self, n_feats: int) -> None:
        super().__init__()
        self.join = nn.Sequential(_conv(2 * n_feats, n_feats, 1), _act())
        self.gate = _conv(2 * n_feats, n_feats, gain=0.0)

    def forward(self, both: Tensor) -> Tensor:
        joined: Tensor = self.join(both)
        return joined * (2.0 * torch.sigmoid(self.gate(both)))


def _fusion(n_feats: int, gated: bool) -> nn.Sequential:
    """A 1×1 convolution joins both directions; two 3×3 convolutions smooth mismatches."""
    first = GatedJoin(n_feats) if gated else nn.Sequential(_conv(2 * n_feats, n_feats, 1), _act())
    layers: list[nn.Module] = [first]
    layers += [nn.Sequential(_conv(n_feats, n_feats), _act()) for _ in range(FUSION_LAYERS - 1)]
    return nn.Sequential(*layers)


def _upsampler(scale: int, n_feats: int, hr_feats: int) -> nn.Sequential:
    """Pixel shuffles, then two convolutions at full resolution. The last starts at zero, so that it adds no detail yet."""
    layers: list[nn.Module] = []
    channels = n_feats
    factors = SHUFFLE_FACTORS[scale]
    for number, factor in enumerate(factors, start=1):
        out = hr_feats if number == len(factors) else n_feats
        layers += [_conv(channels, out * factor**2), nn.PixelShuffle(factor), _act()]
        channels = out
    return nn.Sequential(*layers, _conv(channels, channels), _act(), _conv(channels, 3, gain=0.0))


class VsrppNet(Network):
    """(N, T, 3, h, w) in [0, 1] -> (N, T, 3, H, W), not clamped, for any T, h, w ≥ 1 and scale 2, 3 or 4.

    A backward trunk runs from the last frame to the first. A forward trunk runs from the first to the last and also reads
    the backward feature of its frame (the coupled propagation of IconVSR, Chan et al., CVPR 2021). Three fusion layers
    join them, and an upsampler adds detail to the bicubic picture. Without warping or interpolation, every backward is
    deterministic on CUDA. In version 2 a trunk reads the last hidden state through `bounded`; the weights are the same.

    At n_feats 64, n_blocks 16: 2,791,363 parameters at ×4 (2,643,651 at ×2, 2,735,971 at ×3). It has half as many
    features at full resolution as BasicVSR, because that part takes half of a small network's time.
    """

    exact = True

    def __init__(
        self, *, scale: int, n_feats: int, n_blocks: int, gated_fusion: bool = False, version: int = 2
    ) -> None:
        super().__init__()
        self.scale, self.n_feats, self.n_blocks = scale, n_feats, n_blocks
        self.gated_fusion, self.version = gated_fusion, version
        self.backward_trunk = Trunk(3 + n_feats, n_feats, n_blocks, bound=version > 1)
        self.forward_trunk = Trunk(3 + 2 * n_feats, n_feats, n_blocks, bound=version > 1)
        self.fusion = _fusion(n_feats, gated_fusion)
        self.upsampler = _upsampler(scale, n_feats, max(1, n_feats // 2))
        self.bicubic = BicubicUpscale(scale)

    def forward(self, lr: Tensor) -> Tensor:
        clips, _, _, height, width = lr.shape
        pictures = (lr - MID_GREY).unbind(dim=1)
        nothing = lr.new_zeros(clips, self.n_feats, height, width)
        hidden, from_future = nothing, []
        for picture in reversed(pictures):
            hidden = self.recurrent(self.backward_trunk, picture, hidden)
            from_future.append(hidden)
        detail = self._detail(pictures, from_future, nothing)
        return self.bicubic(lr) + detail

    def _detail(self, pictures: tuple[Tensor, ...], from_future: list[Tensor], hidden: Tensor) -> Tensor:
        """The forward direction, fusion and upsampling -> (N, T, 3, H, W). from_future: T backward features, last first."""
        joined, details = [], []
        keeps_graph = torch.is_grad_enabled()
        for picture in pictures:
            future = from_future.pop()
            hidden = self.recurrent(self.forward_trunk, picture, hidden, future)
            both = torch.cat((future, hidden), dim=1)
            if keeps_graph:
                joined.append(both)
            else:  # without a graph, one frame at a time, because full resolution dominates the memory
                details.append(self.upsampler(self.fusion(both)))
        if not keeps_graph:
            return torch.stack(details, dim=1)
        whole: Tensor = self.upsampler(self.fusion(torch.cat(joined)))
        return whole.unflatten(0, (len(pictures), len(hidden))).transpose(0, 1)

    def trunks(self) -> list[nn.Module]:
        return [self.backward_trunk, self.forward_trunk]

    def recurrences(self) -> dict[str, nn.Module]:
        return {"backward": self.backward_trunk, "forward": self.forward_trunk}

    def blocks(self) -> dict[str, nn.Module]:
        """Residual blocks, called once per frame, and fusion layers, called once per clip (per frame under no_grad)."""
        streams = {"backward": self.backward_trunk.blocks, "forward": self.forward_trunk.blocks, "fusion": self.fusion}
        return {f"{stream}.{number}": block for stream, row in streams.items() for number, block in enumerate(row)}

    def facts(self) -> dict[str, Any]:
        return {
            "network": "vsrpp",
            "n_feats": self.n_feats,
            "per_direction_blocks": self.n_blocks,
            "fusion_layers": FUSION_LAYERS,
            "gated_fusion": self.gated_fusion,
            "network_version": self.version,
            "flops_per_lr_pixel": self._flops_per_lr_pixel(),
        }

    def _flops_per_lr_pixel(self) -> int:
        """2 per multiply-add of a convolution, per pixel of the resolution it runs at."""
        multiply_adds, pixels = 0, 1
        for module in self.modules():  # in the order they run
            if isinstance(module, nn.PixelShuffle):
                pixels *= module.upscale_factor**2
            elif isinstance(module, nn.Conv2d):
                multiply_adds += module.weight.numel() * pixels
        return 2 * multiply_adds
