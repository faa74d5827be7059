"""From a builder's word for a position encoding to the layer."""

from typing import Any

import keras

from keras_bigmodel import layers

Tensor = Any


def new_position_encoding(
    kind: str | keras.layers.Layer | None,
    *,
    max_sequence_length: int,
    num_heads: int,
    causal: bool,
    dtype: Any = None,
    name: str = "position_encoding",
) -> keras.layers.Layer | None:
    """Returns the position encoding that a builder's argument names.

    Args:
        kind: "rotary", "learned", "sinusoidal", "alibi", "relative", None for
            none, or a layer to be copied; a copied
            `RelativePositionEncoding` looks the way the attention does.
        max_sequence_length: Rows of a learned table.
        num_heads: Heads of an encoding that biases scores.
        causal: Whether the attention is.
        dtype: Dtype policy; a given layer has its own.
        name: The layer's name.

    Raises:
        ValueError: If `kind` is another word.
    """
    if kind is None:
        return None
    if isinstance(kind, layers.PositionEncoding):
        return _copy(kind, causal, name)
    makers = {
        "rotary": lambda: layers.RotaryPositionEncoding(dtype=dtype, name=name),
        "learned": lambda: layers.LearnedPositionEncoding(
            max_sequence_length, dtype=dtype, name=name
        ),
        "sinusoidal": lambda: layers.SinusoidalPositionEncoding(
            dtype=dtype, name=name
        ),
        "alibi": lambda: layers.ALiBiPositionEncoding(
            num_heads, dtype=dtype, name=name
        ),
        "relative": lambda: layers.RelativePositionEncoding(
            num_heads,
            bidirectional=not causal,
            dtype=dtype,
            name=name,
        ),
    }
    if kind not in makers:
        raise ValueError(
            f"`position_encoding` must be one of {sorted(makers)}, a "
            "`PositionEncoding`, or None. "
            f"Received: position_encoding={kind!r}"
        )
    return makers[kind]()


def _copy(
    layer: keras.layers.Layer, causal: bool, name: str
) -> keras.layers.Layer:
    config = {**layer.get_config(), "name": name}
    if isinstance(layer, layers.RelativePositionEncoding):
        config["bidirectional"] = not causal
    return layer.__class__.from_config(config)


class PositionChoice:
    """Applies a position encoding where its hook belongs.

    `embed` acts on the embeddings, `rotate` and `bias` within each attention;
    a bias with weights is computed once for all blocks.

    Args:
        kind: As in `new_position_encoding`.
        **arguments: As in `new_position_encoding`.
    """

    def __init__(
        self, kind: str | keras.layers.Layer | None, **arguments: Any
    ) -> None:
        self.encoding = new_position_encoding(kind, **arguments)

    def embed(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Returns the embeddings, told of their positions if so encoded."""
        if not self._overrides("embed"):
            return x
        if positions is None:
            return self.encoding(x)
        return self.encoding(x, positions=positions)

    def shared_bias(self, x: Tensor) -> Tensor | None:
        """Returns a bias that all blocks share, or None."""
        if not self._is_shared():
            return None
        return layers.SharedPositionBias(
            self.encoding, name=f"{self.encoding.name}_bias"
        )(x)

    def for_attention(self) -> keras.layers.Layer | None:
        """Returns an encoding for one attention layer, or None."""
        inside = self._overrides("rotate") or self._overrides("bias")
        if not inside or self._is_shared():
            return None
        return self.encoding.__class__.from_config(self.encoding.get_config())

    def _is_shared(self) -> bool:
        return self._overrides("bias") and isinstance(
            self.encoding, layers.RelativePositionEncoding
        )

    def _overrides(self, hook: str) -> bool:
        if self.encoding is None:
            return False
        own = getattr(type(self.encoding), hook, None)
        return own is not getattr(layers.PositionEncoding, hook)
