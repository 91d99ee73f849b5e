"""The networks of a search in PyTorch, eager and channels-last, trained as a search trains them. Imports PyTorch alone."""

import contextlib
import math

import torch
from torch import nn
from torch.nn import functional

torch.set_num_threads(1)  # of two, one would wait for the other in a loop that counts as work


class Twin(nn.Module):
    """The same layers as an architecture's plain form; the weights are PyTorch's own random ones.

    Raises:
        NotImplementedError: the architecture has a layer that no search on images from the vanilla network makes.
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
        values = {}
        for node in self.nodes:
            given = [values[name] for name in node["inputs"]]
            values[node["name"]] = self._run(node, given) if given else x
        return values[self.nodes[-1]["name"]]

    def _run(self, node, given):
        if node["name"] in self.layers:
            return self.layers[node["name"]](*given)
        kind = node["kind"]
        if kind == "ReLU":
            return functional.relu(given[0])
        if kind == "MaxPooling2D":
            return functional.max_pool2d(given[0], 2)
        if kind == "GlobalAveragePooling2D":
            return given[0].mean((2, 3))
        return torch.cat(given, 1) if kind == "Concatenate" else sum(given)


class ConvexMerge(nn.Module):
    """alpha * blue + (1 - alpha) * orange, alpha trained."""

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
        return nn.BatchNorm2d(shapes[0][-1], eps=1e-3, momentum=1 - config.get("momentum", 0.99))
    if kind == "Dense":
        return nn.Linear(math.prod(shapes[0]), config["units"])
    if kind == "ConvexMerge":
        return ConvexMerge()
    if kind in ("InputLayer", "ReLU", "MaxPooling2D", "GlobalAveragePooling2D", "Concatenate", "Add"):
        return None
    raise NotImplementedError(f"{node['name']}: no twin in PyTorch of a {kind}")


def trainer(architecture: dict, batches, precision: str):
    """A function that trains on all batches, (images [n, h, w, c], labels [n]) as arrays."""
    model = Twin(architecture).to(memory_format=torch.channels_last)
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9)
    held = [
        (torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last), torch.from_numpy(y))
        for x, y in batches
    ]

    def run():
        for x, y in held:
            optimizer.zero_grad(set_to_none=True)
            mixed = torch.autocast("cpu", torch.bfloat16) if "bfloat16" in precision else contextlib.nullcontext()
            with mixed:
                loss = functional.cross_entropy(model(x).float(), y)
            loss.backward()
            optimizer.step()
        return float(loss)

    return run
