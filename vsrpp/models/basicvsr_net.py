"""BasicVSR (Chan et al., CVPR 2021): bidirectional propagation, each hidden state warped along SPyNet's flow.

Keys and arithmetic match BasicSR's BasicVSR; `vsrpp.models.pretrained` reads the published weight files.
Shapes: N clips, T frames, C features, h × w pixels of low resolution, H × W = scale·h × scale·w.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsrpp.models.network import Network
from vsrpp.models.spynet import CHANNELS, KERNEL, LEVELS, SpyNet, flow_warp

SLOPE = 0.1
RESIDUAL_GAIN = 0.1
HR_FEATS = 64
"""Features at full resolution, independent of n_feats."""
SHUFFLE_FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}


class ResidualBlock(nn.Module):
    """A residual block: 3×3 convolution, ReLU, 3×3 convolution; weights initialised to a tenth of He's rule."""

    def __init__(self, n_feats: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_feats, n_feats, 3, padding=1)
        self.conv2 = nn.Conv2d(n_feats, n_feats, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight)
            conv.weight.data.mul_(RESIDUAL_GAIN)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv2(self.relu(self.conv1(features)))


class Trunk(nn.Module):
    """A convolution over its inputs, `given` channels together, then residual blocks -> (N, C, h, w).

    In BasicVSR one direction: a frame and the hidden state warped to it, 3 + C channels -> the next hidden state.
    """

    def __init__(self, given: int, n_feats: int, n_blocks: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(given, n_feats, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Sequential(*(ResidualBlock(n_feats) for _ in range(n_blocks))),
        )

    def forward(self, *known: Tensor) -> Tensor:
        state: Tensor = self.main(torch.cat(known, dim=1) if len(known) > 1 else known[0])
        return state

    @property
    def blocks(self) -> nn.Sequential:
        blocks = self.main[2]
        assert isinstance(blocks, nn.Sequential)
        return blocks


class FlowGuidedNet(Network):
    """What BasicVSR and BasicVSR++ share: SPyNet between neighbouring frames, and the way from features to a picture."""

    exact = False  # on CUDA, the backward of grid_sample sums in no fixed order

    def __init__(self, *, scale: int, n_feats: int, n_blocks: int) -> None:
        super().__init__()
        self.scale, self.n_feats, self.n_blocks = scale, n_feats, n_blocks
        self.spynet = SpyNet()

    def _add_upsampler(self) -> None:
        """One pixel shuffle for each factor of the scale, then two convolutions at full resolution; weights drawn now."""
        factors = SHUFFLE_FACTORS[self.scale]
        widths = (*(self.n_feats for _ in factors[1:]), HR_FEATS)
        given = self.n_feats
        for number, (factor, width) in enumerate(zip(factors, widths, strict=True), start=1):
            self.add_module(f"upconv{number}", nn.Conv2d(given, width * factor**2, 3, padding=1))
            given = width
        self.conv_hr = nn.Conv2d(HR_FEATS, HR_FEATS, 3, padding=1)
        self.conv_last = nn.Conv2d(HR_FEATS, 3, 3, padding=1)

    def _flows(self, lr: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(flow from each frame to the next, flow from each frame to the previous one), T - 1 flows each."""
        earlier, later = lr[:, :-1], lr[:, 1:]
        pairs = earlier.shape[1]
        if not torch.is_grad_enabled():  # without a graph, one pair at a time needs T times less memory
            pictures = lr.unbind(dim=1)
            neighbours = list(itertools.pairwise(pictures))
            return [self.spynet(a, b) for a, b in neighbours], [self.spynet(b, a) for a, b in neighbours]
        if not pairs:
            return [], []
        both = torch.cat((earlier, later)).flatten(0, 1), torch.cat((later, earlier)).flatten(0, 1)
        flows = self.spynet(*both).unflatten(0, (2, len(lr), pairs))
        return list(flows[0].unbind(dim=1)), list(flows[1].unbind(dim=1))

    def _enlarged(self, features: Tensor, picture: Tensor) -> Tensor:
        """Features (N, C, h, w) of a frame, and the frame, which the features correct -> (N, 3, H, W)."""
        for number, factor in enumerate(SHUFFLE_FACTORS[self.scale], start=1):
            features = F.leaky_relu(F.pixel_shuffle(self.get_submodule(f"upconv{number}")(features), factor), SLOPE)
        detail = self.conv_last(F.leaky_relu(self.conv_hr(features), SLOPE))
        base = F.interpolate(picture, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return base + detail

    def flow_network(self) -> nn.Module:
        return self.spynet

    def _flow_guided_facts(self, name: str, *low_resolution: nn.Module) -> dict[str, Any]:
        """The facts of both; `low_resolution`: what runs once per frame at the small size, the flow network aside."""
        return {
            "network": name,
            "n_feats": self.n_feats,
            "per_direction_blocks": self.n_blocks,
            "flow_parameters": sum(parameter.numel() for parameter in self.spynet.parameters()),
            "flops_per_lr_pixel": self._flops_per_lr_pixel(low_resolution),
        }

    def _flops_per_lr_pixel(self, low_resolution: Iterable[nn.Module]) -> int:
        """2 per multiply-add of a convolution; the flow network runs twice per frame, on 1 + 1/4 + … pixels."""
        layers = [layer for part in low_resolution for layer in part.modules()]
        multiply_adds = sum(m.weight.numel() for m in layers if isinstance(m, nn.Conv2d))
        pixels = 1
        for number, factor in enumerate(SHUFFLE_FACTORS[self.scale], start=1):
            conv = self.get_submodule(f"upconv{number}")
            assert isinstance(conv, nn.Conv2d)
            multiply_adds += conv.weight.numel() * pixels
            pixels *= factor**2
        multiply_adds += (self.conv_hr.weight.numel() + self.conv_last.weight.numel()) * pixels
        one_level = sum(a * b for a, b in itertools.pairwise(CHANNELS)) * KERNEL**2
        pyramid = sum(4.0**-level for level in range(LEVELS))
        return int(2 * (multiply_adds + 2 * one_level * pyramid))


class BasicVsrNet(FlowGuidedNet):
    """(N, T, 3, h, w) in [0, 1] -> (N, T, 3, H, W), not clamped, for any T, h, w ≥ 1 and scale 2, 3 or 4.

    At n_feats 64, n_blocks 30, ×4: 6,291,311 parameters, of which 1,440,300 in the flow network. ×2 and ×3 are our own
    variants with one pixel shuffle, `upconv1`, instead of two; no published weights exist for them.
    """

    def __init__(self, *, scale: int, n_feats: int, n_blocks: int) -> None:
        super().__init__(scale=scale, n_feats=n_feats, n_blocks=n_blocks)
        self.backward_trunk = Trunk(n_feats + 3, n_feats, n_blocks)
        self.forward_trunk = Trunk(n_feats + 3, n_feats, n_blocks)
        self.fusion = nn.Conv2d(2 * n_feats, n_feats, 1)
        self._add_upsampler()

    def forward(self, lr: Tensor) -> Tensor:
        pictures = lr.unbind(dim=1)
        nothing = lr.new_zeros(lr.shape[0], self.n_feats, *lr.shape[-2:])
        to_next, to_previous = self._flows(lr)
        hidden, from_future = nothing, []
        for number in reversed(range(len(pictures))):
            if number < len(to_next):
                hidden = flow_warp(hidden, to_next[number])
            hidden = self.recurrent(self.backward_trunk, pictures[number], hidden)
            from_future.append(hidden)
        hidden, outputs = nothing, []
        for number, picture in enumerate(pictures):
            if number:
                hidden = flow_warp(hidden, to_previous[number - 1])
            hidden = self.recurrent(self.forward_trunk, picture, hidden)
            joined = self.fusion(torch.cat((from_future.pop(), hidden), dim=1))
            outputs.append(self._enlarged(F.leaky_relu(joined, SLOPE), picture))
        return torch.stack(outputs, dim=1)

    def trunks(self) -> list[nn.Module]:
        return [self.backward_trunk, self.forward_trunk]

    def recurrences(self) -> dict[str, nn.Module]:
        return {"backward": self.backward_trunk, "forward": self.forward_trunk}

    def blocks(self) -> dict[str, nn.Module]:
        """Residual blocks and the fusion convolution, each called once per frame."""
        streams: dict[str, Iterable[nn.Module]] = {
            "backward": self.backward_trunk.blocks, "forward": self.forward_trunk.blocks, "fusion": [self.fusion],
        }  # fmt: skip
        return {f"{stream}.{number}": block for stream, row in streams.items() for number, block in enumerate(row)}

    def facts(self) -> dict[str, Any]:
        return self._flow_guided_facts("basicvsr", self.backward_trunk, self.forward_trunk, self.fusion)
