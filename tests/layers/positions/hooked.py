"""Layers that show what the hooks of a position encoding do."""

import keras
from keras import ops

from keras_bigmodel.layers import decoding

register = keras.saving.register_keras_serializable("hooked")


class Hooked(keras.layers.Layer):
    """Holds an encoding, as an attention layer does."""

    def __init__(self, encoding, num_heads, **kwargs):
        super().__init__(**kwargs)
        if isinstance(encoding, dict):
            encoding = keras.saving.deserialize_keras_object(encoding)
        self.encoding = encoding
        self.num_heads = num_heads

    def build(self, input_shape):
        if not self.encoding.built:
            self.encoding.build(input_shape)

    def get_config(self):
        encoding = keras.saving.serialize_keras_object(self.encoding)
        return {
            **super().get_config(),
            "encoding": encoding,
            "num_heads": self.num_heads,
        }


@register
class Rotated(Hooked):
    """x, in heads, rotated as a query; and its first head as a key."""

    def __init__(self, encoding, num_heads, **kwargs):
        super().__init__(encoding, num_heads, **kwargs)
        self.supports_masking = True

    def call(self, x):
        batch, length, hidden_dim = ops.shape(x)
        head_dim = hidden_dim // self.num_heads
        heads = ops.reshape(x, (batch, length, self.num_heads, head_dim))
        positions = decoding.current_positions(x)
        rotated = self.encoding.rotate(heads, heads[:, :, :1], positions)
        rotated = ops.concatenate(rotated, axis=2)
        return ops.reshape(rotated, (batch, length, hidden_dim + head_dim))


@register
class Biased(Hooked):
    """y[b, q, h] = sum over k of bias[h, q, k] x[b, k, h]."""

    def call(self, x):
        positions = decoding.current_positions(x)
        bias = self.encoding.bias(positions, positions)
        bias = ops.cast(bias, x.dtype)
        x = ops.transpose(x, (0, 2, 1))[:, :, None, :]
        return ops.transpose(ops.sum(bias * x, axis=-1), (0, 2, 1))
