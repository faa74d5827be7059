"""Heads: what an encoder's hidden states are used for.

A head takes its layers from the trunk, so that all heads of a trunk and the
trunk itself share their weights: pretrain with one head, fine-tune with
another. A trunk may come with a head on, as when a pretrained model is loaded
from a file: the new head replaces it.
"""

from typing import Any

import keras
from keras import ops

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes, new_normalization

Tensor = Any

# Scores of hidden positions: so low that their softmax is 0, and still a
# number in every float type.
HIDDEN_SCORE = -3e4


def masked_lm(
    trunk: keras.Model,
    *,
    activation: str = "gelu",
    normalization: str | keras.layers.Layer = "layer",
    epsilon: float = 1e-5,
    name: str = "masked_lm",
) -> keras.Model:
    """Puts a masked-language-model head on an encoder.

    Dense, activation and normalisation, then logits over the vocabulary, which
    share the trunk's embedding table and add a bias. Train it on the rows of
    `kbm.text.masked_lm_dataset`.

    Args:
        trunk: A model of `encoder`, with or without a head.
        activation: Keras's name of the Dense layer's activation.
        normalization: "layer", "rms", or a layer to be copied.
        epsilon: Of the normalisation.
        name: The model's name.

    Input shape:
        The trunk's.

    Output shape:
        Logits, (batch, sequence, vocabulary_size).

    Masking:
        The logits carry the trunk's mask: Keras leaves padding out of losses.

    Raises:
        ValueError: If `trunk` is no encoder.

    Example:
    ```python
    import keras_bigmodel as kbm

    trunk = kbm.models.encoder(100, 32, 2, 2, 16, pad_id=0)
    model = kbm.models.masked_lm(trunk)
    model.output.shape  # (None, None, 100)
    ```

    References:
        Devlin et al. 2019, "BERT", section 3.1, and its published code.
    """
    hidden = _hidden_states(trunk)
    dtype = _dtype(trunk)
    embedding = trunk.get_layer("token_embedding")
    x = keras.layers.Dense(
        embedding.hidden_dim,
        activation=activation,
        dtype=dtype,
        name="head_projection",
    )(hidden)
    x = new_normalization(normalization, epsilon, dtype, "head_normalization")(
        x
    )
    x = embedding(x, reverse=True)
    logits = layers.Bias(dtype=dtype, name="logits")(x)
    return keras.Model(trunk.input, logits, name=name)


def text_classifier(
    trunk: keras.Model,
    num_classes: int,
    *,
    pooling: str | None = None,
    projection_activation: str | None = None,
    dropout: float = 0.0,
    name: str = "text_classifier",
) -> keras.Model:
    """Puts a head on an encoder that classifies whole texts.

    Args:
        trunk: A model of `encoder`, with or without a head.
        num_classes: Number of classes; 1 for a regression.
        pooling: How the hidden states become one vector: "mean" over the
            tokens, "first" token, or the trunk's "pooler"; default: its pooler
            if it has one, and else the mean.
        projection_activation: Keras's name of the activation of a Dense layer
            between pooling and logits ("tanh" in RoBERTa, "relu" in
            DistilBERT); None: no such layer.
        dropout: Share dropped of what the logits are made from.
        name: The model's name.

    Input shape:
        The trunk's.

    Output shape:
        Logits, (batch, num_classes).

    Raises:
        ValueError: If `trunk` is no encoder, `num_classes` is not positive, or
            `pooling` is unknown or not there.

    Example:
    ```python
    import keras_bigmodel as kbm

    trunk = kbm.models.encoder(100, 32, 2, 2, 16, pad_id=0)
    model = kbm.models.text_classifier(trunk, num_classes=3)
    model.output.shape  # (None, 3)
    ```

    References:
        Devlin et al. 2019, "BERT", section 4.1; Liu et al. 2019, "RoBERTa",
        and its published code (the projection).
    """
    check_sizes(num_classes=num_classes)
    hidden = _hidden_states(trunk)
    dtype = _dtype(trunk)
    x = _pooled(trunk, hidden, pooling, dtype)
    if projection_activation is not None:
        if dropout:
            x = keras.layers.Dropout(
                dropout, dtype=dtype, name="pooled_dropout"
            )(x)
        x = keras.layers.Dense(
            hidden.shape[-1],
            activation=projection_activation,
            dtype=dtype,
            name="head_projection",
        )(x)
    logits = _logits(x, num_classes, dropout, dtype)
    return keras.Model(trunk.input, logits, name=name)


def token_classifier(
    trunk: keras.Model,
    num_classes: int,
    *,
    dropout: float = 0.0,
    name: str = "token_classifier",
) -> keras.Model:
    """Puts a head on an encoder that classifies each token.

    Args:
        trunk: A model of `encoder`, with or without a head.
        num_classes: Number of classes of a token.
        dropout: Share dropped of the hidden states.
        name: The model's name.

    Input shape:
        The trunk's.

    Output shape:
        Logits, (batch, sequence, num_classes).

    Masking:
        The logits carry the trunk's mask: Keras leaves padding out of losses.

    Raises:
        ValueError: If `trunk` is no encoder, or `num_classes` is not positive.

    Example:
    ```python
    import keras_bigmodel as kbm

    trunk = kbm.models.encoder(100, 32, 2, 2, 16, pad_id=0)
    model = kbm.models.token_classifier(trunk, num_classes=5)
    model.compile("adam", kbm.losses.TokenCrossentropy(ignored_label=-100))
    ```

    References:
        Devlin et al. 2019, "BERT", section 5.3.
    """
    check_sizes(num_classes=num_classes)
    hidden = _hidden_states(trunk)
    logits = _logits(hidden, num_classes, dropout, _dtype(trunk))
    return keras.Model(trunk.input, logits, name=name)


def span_classifier(
    trunk: keras.Model,
    *,
    dropout: float = 0.0,
    name: str = "span_classifier",
) -> keras.Model:
    """Puts a head on an encoder that finds where an answer begins and ends.

    Row 0 of the logits scores each position as the first of the answer, row 1
    as its last. Labels are these two positions, (batch, 2), so that the loss is
    a cross-entropy over positions:
    `kbm.losses.TokenCrossentropy(ignored_label=-100)`, or Keras's own.

    Args:
        trunk: A model of `encoder`, with or without a head.
        dropout: Share dropped of the hidden states.
        name: The model's name.

    Input shape:
        The trunk's.

    Output shape:
        Logits, (batch, 2, sequence).

    Masking:
        Padding gets logits of -30,000, whose softmax is 0.

    Raises:
        ValueError: If `trunk` is no encoder.

    Example:
    ```python
    import keras_bigmodel as kbm
    from keras import ops

    trunk = kbm.models.encoder(100, 32, 2, 2, 16, num_segments=2, pad_id=0)
    model = kbm.models.span_classifier(trunk)
    question_and_text = {
        "token_ids": ops.array([[5, 7, 11, 13, 17]]),
        "segment_ids": ops.array([[0, 0, 1, 1, 1]]),
    }
    start, end = ops.argmax(model(question_and_text), axis=-1)[0]
    ```

    References:
        Devlin et al. 2019, "BERT", section 4.2.
    """
    hidden = _hidden_states(trunk)
    x = _logits(hidden, 2, dropout, _dtype(trunk))
    logits = ops.transpose(x, (0, 2, 1))
    pad_id = trunk.get_layer("token_embedding").pad_id
    if pad_id is not None:
        token_ids = trunk.get_layer("token_embedding").input
        visible = ops.expand_dims(ops.not_equal(token_ids, pad_id), 1)
        logits = ops.where(visible, logits, HIDDEN_SCORE)
    return keras.Model(trunk.input, logits, name=name)


def _hidden_states(trunk: keras.Model) -> Tensor:
    names = {layer.name for layer in getattr(trunk, "layers", ())}
    if not {"token_embedding", "hidden_states"} <= names:
        raise ValueError(
            "A head needs a model of `kbm.models.encoder`, as it is or with "
            'another head on it: one with the layers "token_embedding" and '
            f'"hidden_states". Received: trunk={trunk}'
        )
    return trunk.get_layer("hidden_states").output


def _dtype(trunk: keras.Model) -> Any:
    return trunk.get_layer("hidden_states").dtype_policy


def _pooled(
    trunk: keras.Model, hidden: Tensor, pooling: str | None, dtype: Any
) -> Tensor:
    has_pooler = any(layer.name == "pooler" for layer in trunk.layers)
    pooling = pooling or ("pooler" if has_pooler else "mean")
    if pooling == "pooler":
        if not has_pooler:
            raise ValueError(
                "The trunk has no pooler: build it with `pooler=True`, or "
                'choose "mean" or "first". Received: pooling="pooler"'
            )
        return trunk.get_layer("pooler").output
    if pooling not in ("mean", "first"):
        raise ValueError(
            '`pooling` must be "mean", "first", "pooler" or None. '
            f"Received: pooling={pooling!r}"
        )
    return layers.SequencePooling(pooling, dtype=dtype, name="pooling")(hidden)


def _logits(x: Tensor, num_classes: int, dropout: float, dtype: Any) -> Tensor:
    if dropout:
        x = keras.layers.Dropout(dropout, dtype=dtype, name="head_dropout")(x)
    return keras.layers.Dense(num_classes, dtype=dtype, name="logits")(x)
