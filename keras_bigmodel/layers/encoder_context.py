"""Where a model's encoder ends and its decoder begins."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class EncoderContext(keras.layers.Layer):
    """Marks what the decoder of a model sees of the encoder.

    The layer returns the tensors it is given. All that passes from the encoder
    to the decoder of an encoder-decoder model goes through one such layer, so
    that `encoder_and_decoder` can cut the model there and generation runs the
    encoder once for many steps of the decoder. Encoder and decoder may share
    layers, such as an embedding.

    Call arguments:
        tensors: A dict of what passes, each batch first. By convention
            "context" is the encoder's sequence and "context_mask" says where
            it has tokens; further names are free, but may not be those of the
            model's inputs.

    Input shape:
        Each (batch, ...)

    Output shape:
        The same.

    Masking:
        Dropped: the decoder is handed "context_mask" instead.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    source_ids = keras.Input((None,), dtype="int32", name="source_ids")
    target_ids = keras.Input((None,), dtype="int32", name="target_ids")
    embedding = kbm.layers.TokenEmbedding(100, 16, pad_id=0)
    x = kbm.layers.EncoderBlock(2, 32)(embedding(source_ids))
    passed = kbm.layers.EncoderContext()(
        {"context": x, "context_mask": source_ids != 0}
    )
    y = kbm.layers.DecoderBlock(2, 32, cross_attention=True)(
        embedding(target_ids), **passed
    )
    model = keras.Model(
        {"source_ids": source_ids, "target_ids": target_ids},
        embedding(y, reverse=True),
    )
    encoder, decoder = kbm.layers.encoder_and_decoder(model)
    ```
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the tensors, without their Keras masks."""
        return {name: ops.copy(x) for name, x in tensors.items()}

    def compute_mask(
        self, tensors: dict[str, Tensor], previous_mask: Any = None
    ) -> dict[str, None]:
        """Returns no masks."""
        return dict.fromkeys(tensors)

    def compute_output_spec(
        self, tensors: dict[str, keras.KerasTensor]
    ) -> dict[str, keras.KerasTensor]:
        """Returns tensors that carry the names of their entries."""
        return {
            name: keras.KerasTensor(x.shape, x.dtype, name=name)
            for name, x in tensors.items()
        }


def encoder_and_decoder(
    model: keras.Model,
) -> tuple[keras.Model, keras.Model]:
    """Cuts an encoder-decoder model into its two halves, sharing its layers.

    The encoder takes `source_ids` and returns the dict of tensors that passes
    through the model's `EncoderContext`, each batch first. The decoder takes
    this dict together with `target_ids`, and returns the model's output:

        context = encoder(source_ids)
        logits = decoder({"target_ids": target_ids, **context})

    Under a `DecodingScope` the decoder alone is called, once a step; it keeps
    what it made of the context in the first step.

    Args:
        model: A functional model with the inputs "source_ids" and
            "target_ids" and one `EncoderContext`.

    Raises:
        ValueError: If the model has other inputs or no single
            `EncoderContext`.

    Example:
    ```python
    import keras_bigmodel as kbm
    from keras import ops

    model = kbm.models.encoder_decoder(50, 60, 16, 1, 2, 8)
    encoder, decoder = kbm.layers.encoder_and_decoder(model)
    context = encoder(ops.array([[5, 7, 11]]))
    logits = decoder({"target_ids": ops.array([[1, 2]]), **context})
    ```
    """
    boundaries = [
        layer for layer in model.layers if isinstance(layer, EncoderContext)
    ]
    inputs = {x.name: x for x in getattr(model, "inputs", None) or []}
    if len(boundaries) != 1 or set(inputs) != {"source_ids", "target_ids"}:
        raise ValueError(
            "An encoder-decoder model has the inputs `source_ids` and "
            "`target_ids`, and one `EncoderContext` between its encoder and "
            f"its decoder. Received: model={model.name!r} with the inputs "
            f"{sorted(inputs)} and {len(boundaries)} of these layers"
        )
    context = {x.name: x for x in keras.tree.flatten(boundaries[0].output)}
    encoder = keras.Model(
        inputs["source_ids"], context, name=f"{model.name}_encoder"
    )
    decoder = keras.Model(
        {"target_ids": inputs["target_ids"], **context},
        model.output,
        name=f"{model.name}_decoder",
    )
    return encoder, decoder
