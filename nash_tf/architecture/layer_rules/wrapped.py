"""The layer inside another one: its config, and how that changes."""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]
TIMED, BOTH_WAYS = "TimeDistributed", "Bidirectional"
WRAPPERS = (TIMED, BOTH_WAYS)
_HELD = ("layer", "backward_layer")  # entries of a wrapper's config that hold layers


def settings(config: Config) -> Config:
    """The config of the layer that computes: of that inside a wrapper, or else the config itself."""
    inside = config.get("layer")
    if inside is None:
        return config
    own = inside.get("config") if isinstance(inside, Mapping) else None
    return own if isinstance(own, Mapping) else config


def inside(kind: str, config: Config, rank: int) -> tuple[str, Config, int]:
    """Kind, config and number of axes of the output, of the layer that computes; arguments as of `rule_of`."""
    if kind not in WRAPPERS:
        return kind, config, rank
    layer = config["layer"]
    is_keras = layer.get("module") == "keras.layers"
    return layer["class_name"] if is_keras else "", settings(config), rank - (kind == TIMED)


def with_settings(config: Config, changed: Config) -> dict[str, Any]:
    """A config with entries changed, in the layers inside where there are such; the shapes these were built for are dropped."""
    held = {key: config[key] for key in _HELD if key in config}
    if not held:
        return {**config, **changed}

    def other(layer):
        return {**layer, "config": {**layer["config"], **changed}, "build_config": None}

    return {**config, **{key: other(layer) for key, layer in held.items()}}


def directions_differ(config: Config) -> bool:
    """Whether the layers of the two directions are set up differently."""

    def plain(layer):
        own = {key: value for key, value in layer["config"].items() if key not in ("name", "go_backwards")}
        return layer["class_name"], own

    return "backward_layer" in config and plain(config["layer"]) != plain(config["backward_layer"])
