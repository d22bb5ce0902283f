import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vsrpp.plugins import Parameter, degradation, loss_term, network


@network(parameters={"my_width": Parameter(int, default=32, minimum=4, maximum=256, unit="channels")})
class MySR(nn.Module):
    def __init__(self, *, scale, my_width, n_blocks):
        super().__init__()
        self.scale = scale
        self.first = nn.Conv2d(3 + my_width, my_width, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(my_width, my_width, 3, padding=1) for _ in range(n_blocks))
        self.last = nn.Conv2d(my_width, 3 * scale**2, 3, padding=1)

    def forward(self, lr):  # (N, T, 3, h, w) in [0, 1] -> (N, T, 3, scale * h, scale * w)
        state = lr.new_zeros(lr.shape[0], self.last.in_channels, *lr.shape[-2:])
        frames = []
        for frame in lr.unbind(1):
            state = self.first(torch.cat([frame, state], 1)).relu()
            for block in self.blocks:
                state = state + block(state).relu()
            detail = functional.pixel_shuffle(self.last(state), self.scale)
            frames.append(detail + functional.interpolate(frame, scale_factor=self.scale, mode="nearest"))
        return torch.stack(frames, 1)


@loss_term(name="fft", label="FFT", colour="#22c55e")
def fft(pred, truth):  # (M, 3, H, W) each -> scalar
    return (torch.fft.rfft2(pred, norm="ortho") - torch.fft.rfft2(truth, norm="ortho")).abs().mean()


@degradation(parameters={"my_noise": Parameter(float, default=4, minimum=0, maximum=50, unit="levels")})
def noisy(frames, rng, *, scale, my_noise):  # (T, H, W, 3) uint8 -> (T, H / scale, W / scale, 3) uint8
    t, height, width, _ = frames.shape
    small = frames.reshape(t, height // scale, scale, width // scale, scale, 3).mean((2, 4))
    return np.rint(small + rng.normal(0, my_noise, small.shape)).clip(0, 255).astype(np.uint8)
