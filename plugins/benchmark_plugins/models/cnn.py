"""A small convolutional network for images from 8x8 to 32x32."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from benchmark_core import Context, Model, Task

from .network import Network


class CNN(Model):
    """(conv3x3 - relu - maxpool2) for each entry of `channels`, then flatten - linear - relu - linear. No
    batch norm: a sample's logits never depend on its batch, not in training either."""

    def build(self, task: Task, ctx: Context) -> nn.Module:
        channels, hidden = self.params.channels, self.params.hidden
        depth, height, width = task.shape
        height, width = height >> len(channels), width >> len(channels)
        if min(height, width) < 1:
            raise ValueError(
                f"cnn: {len(channels)} stages halve a {task.shape[1]}x{task.shape[2]} image to nothing; "
                f"give `channels` fewer entries"
            )
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise((depth, *channels)):
            layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        flat = (depth, *channels)[-1] * height * width
        layers += [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU()]
        return Network(task, nn.Sequential(*layers), hidden, normalise=self.params.normalise)
