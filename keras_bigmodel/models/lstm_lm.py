"""Language model of stacked LSTMs."""

from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes

Tensor = Any


def lstm_lm(
    vocabulary_size: int,
    num_layers: int,
    units: int,
    embedding_dim: int | None = None,
    dense_units: int | None = None,
    *,
    max_sequence_length: int | None = None,
    dropout: float = 0.0,
    tie_embeddings: bool = False,
    logit_soft_cap: float | None = None,
    pad_id: int | None = None,
    dtype: Any = None,
    name: str = "lstm_lm",
) -> keras.Model:
    """Builds a language model of stacked LSTMs.

    Embedding, LSTMs with dropout between them, a Dense layer with ReLU, and
    logits over the next token.

    Args:
        vocabulary_size: Number of tokens.
        num_layers: Number of LSTMs.
        units: Size of each LSTM's output and states.
        embedding_dim: Features of the embeddings; default: units.
        dense_units: Width of the Dense layer; default: units. 0: no such
            layer.
        max_sequence_length: The longest text it is meant for, in tokens; None:
            any.
        dropout: Share dropped of the embeddings and of each layer's output in
            training.
        tie_embeddings: Whether the output shares the embedding table, which
            needs the last layer as wide as the embeddings.
        logit_soft_cap: Cap of the logits.
        pad_id: Id of padding, which is masked; None: no padding.
        dtype: Dtype policy of all layers; default: Keras's.
        name: The model's name.

    Input shape:
        token_ids: integers, (batch, sequence).

    Output shape:
        Logits, (batch, sequence, vocabulary_size).

    Masking:
        Padding leaves the states as they are.

    Raises:
        ValueError: If sizes are not positive, or the widths of a tied output
            differ.

    Example:
    ```python
    import keras_bigmodel as kbm
    from keras import ops

    model = kbm.models.lstm_lm(100, num_layers=2, units=16)
    model(ops.array([[5, 17, 33]])).shape  # (1, 3, 100)
    ```

    References:
        Zaremba et al. 2014, "Recurrent Neural Network Regularization", section
        3.2 (dropout between layers alone). The Dense layer is ours.
    """
    dense_units = units if dense_units is None else dense_units
    embedding_dim = units if embedding_dim is None else embedding_dim
    check_sizes(
        vocabulary_size=vocabulary_size,
        num_layers=num_layers,
        units=units,
        embedding_dim=embedding_dim,
        dense_units=dense_units or None,
        max_sequence_length=max_sequence_length,
    )
    if tie_embeddings and (dense_units or units) != embedding_dim:
        raise ValueError(
            "A tied output needs the last layer as wide as the embeddings. "
            f"Received: embedding_dim={embedding_dim}, units={units}, "
            f"dense_units={dense_units}"
        )
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    embedding = layers.TokenEmbedding(
        vocabulary_size,
        embedding_dim,
        pad_id=pad_id,
        logit_soft_cap=logit_soft_cap,
        max_sequence_length=max_sequence_length,
        dtype=dtype,
        name="token_embedding",
    )
    x = embedding(token_ids)
    if dropout:
        x = keras.layers.Dropout(dropout, dtype=dtype, name="dropout")(x)
    for index in range(num_layers):
        x = layers.LSTM(
            units, return_sequences=True, dtype=dtype, name=f"lstm_{index}"
        )(x)
        if dropout:
            x = keras.layers.Dropout(
                dropout, dtype=dtype, name=f"lstm_{index}_dropout"
            )(x)
    if dense_units:
        x = keras.layers.Dense(
            dense_units, activation="relu", dtype=dtype, name="dense"
        )(x)
    if not tie_embeddings:
        embedding = layers.TokenEmbedding(
            vocabulary_size,
            dense_units or units,
            logit_soft_cap=logit_soft_cap,
            dtype=dtype,
            name="output_projection",
        )
    return keras.Model(token_ids, embedding(x, reverse=True), name=name)
