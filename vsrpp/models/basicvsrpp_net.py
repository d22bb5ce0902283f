"""BasicVSR++ (Chan et al., CVPR 2022): second-order grid propagation with flow-guided deformable alignment.

Four branches run over the clip, backward and forward twice; each sees the states of those before it. A state is made from
the two states before, aligned by a deformable convolution whose offsets are SPyNet's flow and a learned residue.
Keys and arithmetic match BasicSR's and mmagic's; `vsrpp.models.pretrained` reads the published weight files.
Shapes: N clips, T frames, C features, h × w pixels of low resolution, H × W = scale·h × scale·w.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.models.basicvsr_net import SLOPE, FlowGuidedNet, Trunk
from vsrpp.models.deformable import KERNEL, TAPS, deformable_conv
from vsrpp.models.precision import full
from vsrpp.models.spynet import flow_warp

BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")
"""In the order they run."""
OUTER_BLOCKS = 5
"""Residual blocks before and after the propagation, independent of n_blocks."""
MOST_GROUPS = 16
MOST_RESIDUE = 10.0
"""Pixels by which a learned offset may leave the flow."""


class SecondOrderAlignment(nn.Conv2d):
    """Aligns the last two states, (N, 2C, h, w) together, to the current frame -> (N, C, h, w).

    A modulated deformable convolution. Its first half of the groups reads the last state along `flow`, its second half the
    state before that along `older_flow`, both (N, 2, h, w) in pixels. At first every offset is the flow.
    """

    def __init__(self, n_feats: int) -> None:
        super().__init__(2 * n_feats, n_feats, KERNEL, padding=KERNEL // 2)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        self.deformable_groups = math.gcd(2 * n_feats, MOST_GROUPS)
        layers: list[nn.Module] = []
        for given in (3 * n_feats + 4, n_feats, n_feats):
            layers += [nn.Conv2d(given, n_feats, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
        last = nn.Conv2d(n_feats, 3 * TAPS * self.deformable_groups, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.conv_offset = nn.Sequential(*layers, last)

    def forward(self, states: Tensor, known: Tensor, *, flow: Tensor, older_flow: Tensor) -> Tensor:  # type: ignore[override]
        """`known`: the frame's features between both states warped along the flows, (N, 3C, h, w).

        Positions are computed in fp32. The flows are keywords, because exporting in fp16 casts the other inputs.
        """
        taps = TAPS * self.deformable_groups
        found = self.conv_offset(torch.cat((known, flow, older_flow), dim=1))
        with full(states.device):
            residue, mask = found.float().split((2 * taps, taps), dim=1)
            along = torch.cat([each.flip(1).repeat(1, taps // 2, 1, 1) for each in (flow, older_flow)], dim=1)
            offset = MOST_RESIDUE * torch.tanh(residue) + along
            assert self.bias is not None
            return deformable_conv(states.float(), offset, torch.sigmoid(mask), self.weight, self.bias)


class Branch(Trunk):
    """One branch: (a frame's features, the states of earlier branches …, the aligned state) -> the next state."""

    def forward(self, *known: Tensor) -> Tensor:
        return known[-1] + super().forward(*known)


class BasicVsrPlusPlusNet(FlowGuidedNet):
    """(N, T, 3, h, w) in [0, 1] -> (N, T, 3, H, W), not clamped, for any T, h, w ≥ 1 and scale 2, 3 or 4.

    At n_feats 64, n_blocks 7, ×4: 7,322,927 parameters, of which 1,440,300 in the flow network. ×2 and ×3 are our own
    variants with one pixel shuffle, `upconv1`, instead of two; no published weights exist for them. The alignment has 16
    groups, as published, if n_feats is a multiple of 8, else the largest power of two that divides 2·n_feats.
    """

    def __init__(self, *, scale: int, n_feats: int, n_blocks: int) -> None:
        super().__init__(scale=scale, n_feats=n_feats, n_blocks=n_blocks)
        self.feat_extract = Trunk(3, n_feats, OUTER_BLOCKS)
        self.deform_align = nn.ModuleDict({name: SecondOrderAlignment(n_feats) for name in BRANCHES})
        self.backbone = nn.ModuleDict(
            {name: Branch(given * n_feats, n_feats, n_blocks) for given, name in enumerate(BRANCHES, start=2)}
        )
        self.reconstruction = Trunk(5 * n_feats, n_feats, OUTER_BLOCKS)
        self._add_upsampler()

    def forward(self, lr: Tensor) -> Tensor:
        pictures = lr.unbind(dim=1)
        to_next, to_previous = self._flows(lr)
        known: list[tuple[Tensor, ...]] = [(self.recurrent(self.feat_extract, picture),) for picture in pictures]
        for name in BRANCHES:
            if name.startswith("backward"):
                states = self._propagated(name, known[::-1], to_next[::-1])[::-1]
            else:
                states = self._propagated(name, known, to_previous)
            known = [(*before, state) for before, state in zip(known, states, strict=True)]
        pairs = zip(known, pictures, strict=True)
        return torch.stack(
            [self._enlarged(self.recurrent(self.reconstruction, *states), picture) for states, picture in pairs], dim=1
        )

    def _propagated(self, name: str, known: Sequence[tuple[Tensor, ...]], flows: Sequence[Tensor]) -> list[Tensor]:
        """The states of a branch, in the order it runs, as are its inputs; flows: from each frame to the one before it."""
        nothing = torch.zeros_like(known[0][0])
        states = [self.recurrent(self.backbone[name], *known[0], nothing)]
        for number, frame in enumerate(known[1:]):
            older = states[-2] if number else nothing
            step = functools.partial(self._step, name, flows[number], flows[number - 1] if number else None)
            states.append(self.recurrent(step, older, states[-1], *frame))
        return states

    def _step(
        self, name: str, flow: Tensor, previous_flow: Tensor | None, older: Tensor, state: Tensor, *frame: Tensor
    ) -> Tensor:
        """The next state: `state` and `older`, one and two frames back, aligned to the frame and passed on."""
        if previous_flow is None:
            older_flow, older_warped = torch.zeros_like(flow), torch.zeros_like(older)
        else:
            older_flow = flow + flow_warp(previous_flow, flow)
            older_warped = flow_warp(older, older_flow)
        seen = torch.cat((flow_warp(state, flow), frame[0], older_warped), dim=1)
        states = torch.cat((state, older), dim=1)
        aligned = self.deform_align[name](states, seen, flow=flow, older_flow=older_flow)
        following: Tensor = self.backbone[name](*frame, aligned)
        return following

    def trunks(self) -> list[nn.Module]:
        return [self.feat_extract, *self.backbone.values(), self.reconstruction]

    def recurrences(self) -> dict[str, nn.Module]:
        return dict(self.backbone.items())

    def blocks(self) -> dict[str, nn.Module]:
        """Residual blocks, each called once per frame."""
        streams = {"spatial": self.feat_extract, **dict(self.backbone.items()), "reconstruction": self.reconstruction}
        return {
            f"{stream}.{number}": block
            for stream, trunk in streams.items()
            if isinstance(trunk, Trunk)
            for number, block in enumerate(trunk.blocks)
        }

    def facts(self) -> dict[str, Any]:
        parts = (self.feat_extract, self.deform_align, self.backbone, self.reconstruction)
        return self._flow_guided_facts("basicvsrpp", *parts)
