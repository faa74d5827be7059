"""8-bit weights: a quarter of the memory of float32, for inference."""

import keras

from keras_bigmodel.adapters import dense_layers


def quantize(model: keras.Model) -> keras.Model:
    """Turns the kernels of a model's Dense layers into 8-bit integers.

    W becomes round(W / s), with one scale s = max |W| / 127 for each output.
    Keras's own quantisation does the work: inputs are rounded to 8 bits row by
    row, the product is of integers. Embedding tables, biases, normalisations
    and experts keep their precision.

    The model generates and exports as before and trains no more. Save and
    convert the model as it was before, and quantise what is loaded.

    Args:
        model: A built model. It is changed, not copied.

    Returns:
        The model.

    Raises:
        ValueError: If there is no Dense layer, one has adapters, or the model
            is quantised already.

    Example:
    ```python
    import keras_bigmodel as kbm

    model = kbm.models.decoder_lm(100, 32, 2, 2, 16)
    model = kbm.quantize(model)
    kbm.generate(model, [[3, 5, 7]], max_new_tokens=2)
    ```

    References:
        Dettmers et al. 2022, "LLM.int8()", section 2 (one scale a row and a
        column), without its second path for outliers.
    """
    layers = list(dense_layers(model))
    if not layers:
        raise ValueError(
            "There is no Dense layer to quantise. "
            f"Received: model={model.name!r}"
        )
    if any(layer.lora_enabled for layer in layers):
        raise ValueError(
            "Merge the adapters first, with `merge_lora`. "
            f"Received: model={model.name!r}"
        )
    if any(layer.quantization_mode for layer in layers):
        raise ValueError(
            f"The model is quantised already. Received: model={model.name!r}"
        )
    for layer in layers:
        layer.quantize("int8")
    # What was compiled would go on with the old weights.
    model.compiled = False
    return model
