"""Low-rank adapters: fine-tune a few numbers beside frozen weights."""

from collections.abc import Iterator, Sequence

import keras


def lora(
    model: keras.Model,
    rank: int = 8,
    targets: Sequence[str] = ("query", "value"),
    alpha: float | None = None,
) -> keras.Model:
    """Freezes a model and gives some of its projections trainable adapters.

    A projection x W becomes x (W + alpha / rank * A B), with A random, (inputs,
    rank), and B zero at first, (rank, outputs), both float32. All other
    weights stop training. Keras's own adapters do the work, so `fit` trains
    them and `save` writes the merged weights.

    Args:
        model: A built model. It is changed, not copied.
        rank: Width of the adapters.
        targets: Names of the projections, among "query", "key", "value" and
            "output" of attention and "gate", "up" and "down" of feed-forward
            networks, or any `keras.layers.Dense` of yours by its name.
        alpha: Strength of the adapters; default: `rank`.

    Returns:
        The model.

    Raises:
        ValueError: If `rank` is not positive, the model has adapters already,
            or no Dense layer has one of the names.

    Example:
    ```python
    import keras_bigmodel as kbm

    model = kbm.models.decoder_lm(100, 32, 2, 2, 16)
    kbm.lora(model, rank=4, targets=["query", "value", "up"])
    len(model.trainable_variables)  # 12: A and B of three in each block
    ```

    References:
        Hu et al. 2021, "LoRA", section 4.1.
    """
    if not isinstance(rank, int) or rank < 1:
        raise ValueError(
            f"`rank` must be a positive integer. Received: rank={rank}"
        )
    layers = list(dense_layers(model))
    if any(layer.lora_enabled for layer in layers):
        raise ValueError(
            "The model has adapters already; merge them first, with "
            f"`merge_lora`. Received: model={model.name!r}"
        )
    known = {layer.name for layer in layers}
    unknown = sorted(set(targets) - known)
    if unknown or not targets or isinstance(targets, str):
        raise ValueError(
            f"`targets` must be a list of names out of {sorted(known)}. "
            f"Received: targets={targets!r}"
        )
    for variable in model.variables:
        variable.trainable = False
    for layer in layers:
        if layer.name in targets:
            layer.enable_lora(rank, lora_alpha=alpha or rank)
    # What was compiled would go on training the old weights.
    model.compiled = False
    return model


def merge_lora(model: keras.Model) -> keras.Model:
    """Adds a model's adapters to the weights beside them and removes them.

    The model computes what it did, as fast as before; all weights train again.

    Args:
        model: A model with adapters.

    Returns:
        The model.

    Raises:
        ValueError: If it has no adapters.

    Example:
    ```python
    import keras_bigmodel as kbm

    model = kbm.lora(kbm.models.decoder_lm(100, 32, 2, 2, 16))
    model = kbm.merge_lora(model)
    ```
    """
    for layer in adapted_layers(model):
        merged = keras.ops.convert_to_numpy(layer.kernel)
        layer._tracker.unlock()
        for name in ("lora_kernel_a", "lora_kernel_b"):
            layer._untrack_variable(getattr(layer, name))
            setattr(layer, name, None)
        layer._tracker.lock()
        layer.lora_enabled = False
        layer.lora_rank = None
        layer._kernel.assign(merged)
    for variable in model.variables:
        variable.trainable = True
    model.compiled = False
    return model


def dense_layers(model: keras.Model) -> Iterator[keras.layers.Dense]:
    """Yields the Dense layers of a model, at whatever depth."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            yield layer


def adapted_layers(model: keras.Model) -> list[keras.layers.Dense]:
    """Returns the layers that have adapters.

    Raises:
        ValueError: If there is none.
    """
    layers = [layer for layer in dense_layers(model) if layer.lora_enabled]
    if not layers:
        raise ValueError(
            "The model has no adapters: give it some with `lora`. "
            f"Received: model={model.name!r}"
        )
    return layers
