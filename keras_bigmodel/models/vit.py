"""Vision Transformer."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes
from keras_bigmodel.models.blocks import Blocks
from keras_bigmodel.models.images import image_input
from keras_bigmodel.models.position_choice import PositionChoice


def vit_classifier(
    image_shape: tuple[int | None, int | None, int],
    num_classes: int,
    patch_size: int | tuple[int, int],
    num_layers: int,
    num_heads: int,
    hidden_dim: int,
    intermediate_dim: int | None = None,
    *,
    pooling: str = "class",
    distillation_token: bool = False,
    position_shape: tuple[int, int] | None = None,
    normalization: str | keras.layers.Layer = "layer",
    epsilon: float = 1e-6,
    query_key_normalization: str | keras.layers.Layer | None = None,
    activation: str = "gelu",
    gated: bool = False,
    use_bias: bool = True,
    attention_bias: bool | Sequence[str] | None = None,
    num_experts: int | None = None,
    experts_per_token: int = 2,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    drop_path: float = 0.0,
    pixel_mean: float | Sequence[float] = 127.5,
    pixel_std: float | Sequence[float] = 127.5,
    dtype: Any = None,
    name: str = "vit_classifier",
) -> keras.Model:
    """Builds a Vision Transformer that classifies images.

    Images are cut into patches, which an encoder reads as a text is read; a
    class token, or the mean of the patches, is turned into logits. Images are
    given as they are, pixels from 0 to 255 as uint8 or as floats, and scaled
    inside the model; tell `pixel_mean` and `pixel_std` of another range (0.5
    and 0.5 for 0 to 1).

    To fine-tune on larger images than those of the pretraining, build the same
    model with the new `image_shape` and the old size as `position_shape`: its
    weights have the same shapes, and positions are interpolated.

    Args:
        image_shape: Height, width and channels; height and width may be None
            if `position_shape` is given.
        num_classes: Number of classes.
        patch_size: Height and width of a patch: a number, or both.
        num_layers: Number of blocks.
        num_heads: Heads of each attention.
        hidden_dim: Features of the residual stream.
        intermediate_dim: Width of the feed-forward networks; default: 4
            hidden_dim.
        pooling: What the logits are made from: "class", a token of its own;
            the "mean" of the patches, without such a token; or "both" tokens,
            each with logits of its own, whose mean is given (DeiT).
        distillation_token: Whether a second token follows the class token, as
            "both" needs it.
        position_shape: Height and width of the images that the positions are
            made for; default: those of `image_shape`.
        normalization: "layer", "rms", or a layer to be copied.
        epsilon: Of the normalisations.
        query_key_normalization: "layer", "rms" or a layer to be copied, for
            each head's queries and keys; None: none.
        activation: Of the feed-forward networks.
        gated: Whether these are gated.
        use_bias: Whether projections add a bias.
        attention_bias: Overrides `use_bias` in the attention; may name the
            projections ("query", "key", "value", "output").
        num_experts: Experts of a mixture in each block; None: no mixture.
        experts_per_token: Experts that each patch is sent to.
        dropout: Share dropped of embeddings and branches in training.
        attention_dropout: Share of the attention probabilities dropped.
        drop_path: Stochastic depth of the last block; earlier ones less.
        pixel_mean: Subtracted from the pixels: a number, or one a channel.
        pixel_std: What they are then divided by.
        dtype: Dtype policy of all layers; default: Keras's.
        name: The model's name.

    Input shape:
        images: (batch, height, width, channels), uint8 or float.

    Output shape:
        Logits, (batch, num_classes).

    Raises:
        ValueError: If sizes are not positive, heads do not divide, patches do
            not divide the image, or an option is unknown.

    Example:
    ```python
    import keras_bigmodel as kbm
    import numpy as np

    model = kbm.models.vit_classifier(
        (32, 32, 3), num_classes=10, patch_size=8, num_layers=2, num_heads=2,
        hidden_dim=16,
    )
    images = np.zeros((2, 32, 32, 3), "uint8")
    model(images).shape  # (2, 10)
    ```

    References:
        Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words", section 3;
        Beyer et al. 2022, "Better plain ViT baselines for ImageNet-1k" (mean
        of the patches); Touvron et al. 2020, "Training data-efficient image
        transformers", section 3 (both tokens).
    """
    check_sizes(
        num_classes=num_classes,
        num_layers=num_layers,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        intermediate_dim=intermediate_dim,
    )
    if pooling not in ("class", "mean", "both"):
        raise ValueError(
            '`pooling` must be "class", "mean" or "both". '
            f"Received: pooling={pooling!r}"
        )
    if distillation_token and pooling == "mean":
        raise ValueError(
            'A distillation token needs the pooling "class" or "both". '
            f"Received: pooling={pooling!r}, distillation_token=True"
        )
    if pooling == "both" and not distillation_token:
        raise ValueError(
            'The pooling "both" needs `distillation_token=True`. '
            f"Received: pooling={pooling!r}, distillation_token=False"
        )
    blocks = Blocks(
        positions=PositionChoice(
            None, max_sequence_length=1, num_heads=num_heads, causal=False
        ),
        num_layers=num_layers,
        num_heads=num_heads,
        intermediate_dim=intermediate_dim or 4 * hidden_dim,
        normalization=normalization,
        epsilon=epsilon,
        query_key_normalization=query_key_normalization,
        activation=activation,
        gated=gated,
        use_bias=use_bias,
        attention_bias=attention_bias,
        num_experts=num_experts,
        experts_per_token=experts_per_token,
        dropout=dropout,
        attention_dropout=attention_dropout,
        drop_path=drop_path,
        dtype=dtype,
    )
    images, x = image_input(image_shape, pixel_mean, pixel_std, dtype)
    x = layers.PatchEmbedding(
        patch_size,
        hidden_dim,
        class_token=pooling != "mean",
        distillation_token=distillation_token,
        image_shape=position_shape,
        dtype=dtype,
        name="patch_embedding",
    )(x)
    if dropout:
        x = keras.layers.Dropout(dropout, dtype=dtype, name="dropout")(x)
    for index in range(num_layers):
        x = blocks.encoder_block(index)(x)
    x = blocks.new_normalization("final_normalization")(x)
    sequence = x
    x = layers.SequencePooling(
        "mean" if pooling == "mean" else "first", dtype=dtype, name="pooled"
    )(sequence)
    logits = keras.layers.Dense(num_classes, dtype=dtype, name="logits")(x)
    if pooling == "both":
        distilled = keras.layers.Dense(
            num_classes, dtype=dtype, name="distillation_logits"
        )(sequence[:, 1])
        logits = keras.layers.Average(dtype=dtype, name="mean_logits")(
            [logits, distilled]
        )
    return keras.Model(images, logits, name=name)
