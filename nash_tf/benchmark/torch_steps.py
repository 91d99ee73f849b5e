"""Training steps with PyTorch: the networks of a search, eager and channels-last. Imports no Keras or TensorFlow."""

import contextlib
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from nash_tf.architecture.constants import BATCH_NORM_EPSILON

torch.set_num_threads(1)  # a second thread would wait in a busy loop, which counts as processor time


class Twin(nn.Module):
    """The network of an architecture in PyTorch, with PyTorch's random weights.

    Args:
        architecture: the architecture as JSON values.

    Raises:
        NotImplementedError: a layer is not among those that a search from the vanilla network uses.
    """

    def __init__(self, architecture: dict):
        super().__init__()
        self.nodes = architecture["nodes"]
        shapes = {node["name"]: node["shape"] for node in self.nodes}
        self.layers = nn.ModuleDict(
            {
                node["name"]: layer
                for node in self.nodes
                if (layer := _layer(node, [shapes[name] for name in node["inputs"]])) is not None
            }
        )

    def forward(self, x):
        values: dict[str, Any] = {}
        for node in self.nodes:
            inputs = [values[name] for name in node["inputs"]]
            values[node["name"]] = self._run(node, inputs) if inputs else x
        return values[self.nodes[-1]["name"]]

    def _run(self, node, inputs):
        if node["name"] in self.layers:
            return self.layers[node["name"]](*inputs)
        kind = node["kind"]
        if kind == "ReLU":
            return functional.relu(inputs[0])
        if kind == "MaxPooling2D":
            return functional.max_pool2d(inputs[0], 2)
        if kind == "GlobalAveragePooling2D":
            return inputs[0].mean((2, 3))
        return torch.cat(inputs, 1) if kind == "Concatenate" else sum(inputs)


class ConvexMerge(nn.Module):
    """alpha * blue + (1 - alpha) * orange with a trained number alpha; see `nash_tf.layers.ConvexMerge`."""

    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(()))

    def forward(self, blue, orange):
        return self.alpha * blue + (1.0 - self.alpha) * orange


def _layer(node: dict, shapes: list) -> nn.Module | None:
    kind, config = node["kind"].removeprefix("nash_tf>"), node.get("config", {})
    if kind in ("Conv2D", "IdentityConv2D", "SeparableConv2D", "IdentitySeparableConv2D"):
        channels, filters, size = shapes[0][-1], config["filters"], config["kernel_size"][0]
        if config.get("padding") != "same" or config.get("strides", [1, 1]) != [1, 1]:
            raise NotImplementedError(f"{node['name']}: only stride 1 and padding 'same'")
        bias = config.get("use_bias", True)
        if "Separable" not in kind:
            return nn.Conv2d(channels, filters, size, padding=size // 2, bias=bias)
        depthwise = nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels, bias=False)
        return nn.Sequential(depthwise, nn.Conv2d(channels, filters, 1, bias=bias))
    if kind == "BatchNormalization":
        return nn.BatchNorm2d(shapes[0][-1], eps=BATCH_NORM_EPSILON, momentum=1 - config.get("momentum", 0.99))
    if kind == "Dense":
        return nn.Linear(math.prod(shapes[0]), config["units"])
    if kind == "ConvexMerge":
        return ConvexMerge()
    if kind in ("InputLayer", "ReLU", "MaxPooling2D", "GlobalAveragePooling2D", "Concatenate", "Add"):
        return None
    raise NotImplementedError(f"{node['name']}: a {kind} is not supported in PyTorch")


def trainer(architecture: dict, batches, precision: str):
    """A function that trains for one epoch.

    Args:
        architecture: the architecture as JSON values.
        batches: pairs of arrays, images [n, height, width, channels] and labels [n].
        precision: "float32" or "mixed_bfloat16".
    """
    model = Twin(architecture).to(memory_format=torch.channels_last)
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9)
    tensors = [
        (torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last), torch.from_numpy(y))
        for x, y in batches
    ]

    def run():
        for x, y in tensors:
            optimizer.zero_grad(set_to_none=True)
            mixed = torch.autocast("cpu", torch.bfloat16) if "bfloat16" in precision else contextlib.nullcontext()
            with mixed:
                loss = functional.cross_entropy(model(x).float(), y)
            loss.backward()
            optimizer.step()
        return float(loss)

    return run
