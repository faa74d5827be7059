"""From a builder's word for a position encoding to the layer."""

from collections.abc import Sequence
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
        kind: As in `new_position_encoding`, or a sequence of such, one entry a
            block, of encodings that act within each attention.
        **arguments: As in `new_position_encoding`.

    Raises:
        ValueError: If a kind is unknown, or an entry of a sequence acts
            outside the attention of its block.
    """

    def __init__(
        self,
        kind: str
        | keras.layers.Layer
        | None
        | Sequence[str | keras.layers.Layer | None],
        **arguments: Any,
    ) -> None:
        self.by_block = None
        if isinstance(kind, (list, tuple)):
            self.by_block = [PositionChoice(one, **arguments) for one in kind]
            kind = None
        self.encoding = new_position_encoding(kind, **arguments)
        for choice in self.by_block or ():
            if choice._overrides("embed") or choice._is_shared():
                raise ValueError(
                    "Blocks can differ in encodings that rotate or bias within "
                    "their attention, with no weights. "
                    f"Received: position_encoding={choice.encoding.name}"
                )

    def check_blocks(self, num_layers: int) -> None:
        """Checks that a sequence of encodings has an entry for each block.

        Raises:
            ValueError: If it has not.
        """
        if self.by_block is not None and len(self.by_block) != num_layers:
            raise ValueError(
                "A sequence of position encodings has one entry a block. "
                f"Received: entries={len(self.by_block)}, "
                f"num_layers={num_layers}"
            )

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

    def for_attention(self, index: int) -> keras.layers.Layer | None:
        """Returns an encoding for the attention of one block, or None."""
        if self.by_block is not None:
            return self.by_block[index].for_attention(index)
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
