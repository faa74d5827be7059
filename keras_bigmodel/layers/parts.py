"""Layers that are handed to other layers as arguments."""

from typing import Any

import keras


def as_layer(part: Any) -> Any:
    """Returns a part that came as a layer or as its config; None is none."""
    if isinstance(part, dict):
        return keras.saving.deserialize_keras_object(part)
    return part


def part_config(part: keras.layers.Layer | None) -> dict[str, Any] | None:
    """Returns a part's config, the same before and after it is built.

    Keras would note the shape it was built for, and build it on loading before
    the layer that holds it: outside that layer's name, and a second time.
    """
    config = keras.saving.serialize_keras_object(part)
    if config is not None:
        config.pop("build_config", None)
    return config


def build_part(part: keras.layers.Layer | None, *shapes: Any) -> None:
    """Builds a part, unless there is none or it is built already."""
    if part is not None and not part.built:
        part.build(*shapes)
