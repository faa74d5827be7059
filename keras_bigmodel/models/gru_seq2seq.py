"""Recurrent encoder-decoder.

As in `encoder_decoder`, all that the decoder sees of the encoder passes through
one `EncoderContext`: the final state of each GRU as "state_0", "state_1" and so
on, and with attention "context" and, where there is padding, "context_mask".
"""

from typing import Any

import keras
from keras import ops

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes

Tensor = Any


def gru_seq2seq(
    source_vocabulary_size: int,
    target_vocabulary_size: int,
    num_layers: int,
    units: int,
    embedding_dim: int | None = None,
    attention: bool = False,
    *,
    num_heads: int = 1,
    max_sequence_length: int | None = None,
    share_embeddings: bool = False,
    tie_embeddings: bool = False,
    dropout: float = 0.0,
    pad_id: int | None = None,
    dtype: Any = None,
    name: str = "gru_seq2seq",
) -> keras.Model:
    """Builds a recurrent encoder-decoder, with or without attention.

    Stacked GRUs read the source; stacked GRUs that start from their final
    states write the target. With attention each output h of the decoder looks
    at the encoder's outputs, and tanh(W [h; what it saw]) is scored instead of
    h. `encoder_and_decoder(model)` gives the two halves as models of their own.

    Targets are not masked; leave their padding out of the loss as described in
    `encoder_decoder`.

    Args:
        source_vocabulary_size: Number of source tokens.
        target_vocabulary_size: Number of target tokens.
        num_layers: Number of GRUs on each side.
        units: Size of each GRU's output and state.
        embedding_dim: Features of the embeddings; default: units.
        attention: Whether the decoder looks at the whole source.
        num_heads: Heads of the attention, a divisor of `units`.
        max_sequence_length: The longest text it is meant for, in tokens; None:
            any.
        share_embeddings: Whether source and target share one table, which
            needs one vocabulary.
        tie_embeddings: Whether the output shares the target's table, which
            needs `embedding_dim` to be `units`.
        dropout: Share dropped of the embeddings and of each layer's output in
            training.
        pad_id: Id of padding in sources, which is masked; None: no padding.
        dtype: Dtype policy of all layers; default: Keras's.
        name: The model's name.

    Input shape:
        A dict of `source_ids`, integers (batch, source), and `target_ids`,
        integers (batch, target).

    Output shape:
        Logits, (batch, target, target_vocabulary_size).

    Raises:
        ValueError: If sizes are not positive, heads do not divide, or a table
            is shared between two sizes.

    Example:
    ```python
    import keras_bigmodel as kbm
    from keras import ops

    model = kbm.models.gru_seq2seq(
        source_vocabulary_size=50, target_vocabulary_size=60, num_layers=2,
        units=16, attention=True,
    )
    model({"source_ids": ops.array([[5, 7, 11]]),
           "target_ids": ops.array([[1, 2]])}).shape  # (1, 2, 60)
    ```

    References:
        Sutskever et al. 2014, "Sequence to Sequence Learning with Neural
        Networks", section 2, with the GRU of Cho et al. 2014, "Learning Phrase
        Representations using RNN Encoder-Decoder", section 2; Luong et al.
        2015, "Effective Approaches to Attention-based Neural Machine
        Translation", section 3.1 (global attention; here scaled, with
        projected keys and values).
    """
    embedding_dim = units if embedding_dim is None else embedding_dim
    check_sizes(
        source_vocabulary_size=source_vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        num_layers=num_layers,
        units=units,
        embedding_dim=embedding_dim,
        num_heads=num_heads,
        max_sequence_length=max_sequence_length,
    )
    if share_embeddings and source_vocabulary_size != target_vocabulary_size:
        raise ValueError(
            "Source and target can share embeddings when they share a "
            "vocabulary. Received: source_vocabulary_size="
            f"{source_vocabulary_size}, target_vocabulary_size="
            f"{target_vocabulary_size}, share_embeddings=True"
        )
    if tie_embeddings and embedding_dim != units:
        raise ValueError(
            "A tied output needs embeddings as wide as the GRUs. "
            f"Received: embedding_dim={embedding_dim}, units={units}"
        )

    def embedding(size: int, dim: int, name: str) -> layers.TokenEmbedding:
        return layers.TokenEmbedding(
            size,
            dim,
            max_sequence_length=max_sequence_length,
            dtype=dtype,
            name=name,
        )

    if share_embeddings:
        source = target = embedding(
            source_vocabulary_size, embedding_dim, "token_embedding"
        )
    else:
        source = embedding(
            source_vocabulary_size, embedding_dim, "source_embedding"
        )
        target = embedding(
            target_vocabulary_size, embedding_dim, "target_embedding"
        )
    source_ids = keras.Input((None,), dtype="int32", name="source_ids")
    target_ids = keras.Input((None,), dtype="int32", name="target_ids")
    stack = _Stack(num_layers, units, dropout, dtype)
    mask = None if pad_id is None else ops.not_equal(source_ids, pad_id)
    x, states = stack.run("encoder", source(source_ids), mask=mask)
    passed = {f"state_{index}": state for index, state in enumerate(states)}
    if attention:
        passed["context"] = x
        if mask is not None:
            passed["context_mask"] = mask
    passed = layers.EncoderContext(dtype=dtype, name="context")(passed)
    states = [passed[f"state_{index}"] for index in range(num_layers)]
    x, _ = stack.run("decoder", target(target_ids), states)
    if attention:
        seen = layers.CrossAttention(
            num_heads, dtype=dtype, name="cross_attention"
        )(x, passed["context"], padding_mask=passed.get("context_mask"))
        x = keras.layers.Concatenate(dtype=dtype, name="output_and_seen")(
            [x, seen]
        )
        x = keras.layers.Dense(
            units, activation="tanh", dtype=dtype, name="attentional_output"
        )(x)
    output = target
    if not tie_embeddings:
        output = embedding(target_vocabulary_size, units, "output_projection")
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    return keras.Model(inputs, output(x, reverse=True), name=name)


class _Stack:
    """Runs embeddings through the GRUs of one side."""

    def __init__(
        self, num_layers: int, units: int, dropout: float, dtype: Any
    ) -> None:
        self.num_layers = num_layers
        self.units = units
        self.dropout = dropout
        self.dtype = dtype

    def run(
        self,
        side: str,
        x: Tensor,
        states: list[Tensor] | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns the last GRU's outputs, and all final states."""
        x = self._dropped(x, f"{side}_dropout")
        finals = []
        for index in range(self.num_layers):
            layer = layers.GRU(
                self.units,
                return_sequences=True,
                return_state=True,
                dtype=self.dtype,
                name=f"{side}_gru_{index}",
            )
            start = None if states is None else states[index]
            x, final = layer(x, initial_state=start, mask=mask)
            finals.append(final)
            x = self._dropped(x, f"{side}_gru_{index}_dropout")
        return x, finals

    def _dropped(self, x: Tensor, name: str) -> Tensor:
        if not self.dropout:
            return x
        return keras.layers.Dropout(self.dropout, dtype=self.dtype, name=name)(
            x
        )
