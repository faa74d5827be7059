"""A block of convolutions over images."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers import activations

Tensor = Any

NORMALIZATIONS = {
    "batch": keras.layers.BatchNormalization,
    "layer": keras.layers.LayerNormalization,
}


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class ConvBlock(keras.layers.Layer):
    """Convolves, normalises and activates an image, once or with a shortcut.

    With f for a convolution followed by a normalisation, and g for the
    activation, the block computes

    - plain: `g(f(x))`;
    - residual: `g(f2(g(f1(x))) + shortcut(x))`, where the shortcut is x itself,
      or a 1 x 1 convolution and normalisation where the shape changes.

    Several kernel sizes make branches side by side, as in Inception, whose
    outputs are concatenated.

    Args:
        filters: the channels of the output.
        kernel_size: height and width of the kernels; a sequence makes one
            branch for each of its sizes, each with an even share of `filters`.
        strides: by how much the first convolution shrinks the image.
        residual: whether there are two convolutions and a shortcut.
        activation: g, as in `FeedForward`.
        normalization: `"batch"`, `"layer"` or None. Without one the
            convolutions have a bias.
        dropout: share of the output dropped in training.
        kernel_initializer: initializer of the kernels.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        (batch, height / strides, width / strides, filters), rounded up.

    Masking:
        None: images have no padding.

    Raises:
        ValueError: if the number of kernel sizes does not divide `filters`, or
            `activation` or `normalization` is not known.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    images = keras.Input((32, 32, 3))
    x = kbm.layers.ConvBlock(16)(images)
    x = kbm.layers.ConvBlock(32, strides=2, residual=True)(x)
    x = kbm.layers.ConvBlock(48, kernel_size=(1, 3, 5))(x)
    ```

    References:
        - He et al. 2015, Deep Residual Learning for Image Recognition, sections
          3.1 and 3.3, https://arxiv.org/abs/1512.03385
        - Szegedy et al. 2014, Going Deeper with Convolutions, section 4, figure
          2a, https://arxiv.org/abs/1409.4842; without the pooled branch.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int] = 3,
        strides: int = 1,
        residual: bool = False,
        activation: str = "relu",
        normalization: str | None = "batch",
        dropout: float = 0.0,
        kernel_initializer: Any = "he_normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sizes = [kernel_size] if isinstance(kernel_size, int) else kernel_size
        if not sizes or filters < 1 or filters % len(sizes):
            raise ValueError(
                "`filters` must divide evenly among the kernel sizes. "
                f"Received: filters={filters}, kernel_size={kernel_size}"
            )
        if normalization not in (None, *NORMALIZATIONS):
            raise ValueError(
                f"`normalization` must be one of {sorted(NORMALIZATIONS)} or "
                f"None. Received: normalization={normalization!r}"
            )
        self.filters = filters
        self.kernel_size = (
            kernel_size if isinstance(kernel_size, int) else list(sizes)
        )
        self.strides = strides
        self.residual = residual
        self.activation = activation
        self.normalization = normalization
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self._sizes = tuple(sizes)
        self._activate = activations.get(activation)
        self._dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions for (batch, height, width, channels)."""
        self._shortcut = []
        output_shape = self.compute_output_shape(input_shape)
        self._first = self._stage("first", input_shape, self._sizes)
        if not self.residual:
            return
        self._second = self._stage("second", output_shape, self._sizes)
        if self.strides > 1 or input_shape[-1] != self.filters:
            self._shortcut = self._stage("shortcut", input_shape, (1,))

    def _stage(
        self,
        name: str,
        input_shape: tuple[int | None, ...],
        sizes: tuple[int, ...],
    ) -> list[keras.layers.Layer]:
        """Returns convolutions side by side, and their normalisation last."""
        common = {"dtype": self.dtype_policy}
        stage = [
            keras.layers.Conv2D(
                self.filters // len(sizes),
                size,
                strides=1 if name == "second" else self.strides,
                padding="same",
                data_format="channels_last",
                use_bias=self.normalization is None,
                kernel_initializer=self.kernel_initializer.clone(),
                name=f"{name}_convolution_{size}",
                **common,
            )
            for size in sizes
        ]
        for convolution in stage:
            convolution.build(input_shape)
        if self.normalization is not None:
            normalize = NORMALIZATIONS[self.normalization](
                name=f"{name}_normalization", **common
            )
            normalize.build((*input_shape[:-1], self.filters))
            stage.append(normalize)
        return stage

    def _run(
        self, stage: list[keras.layers.Layer], x: Tensor, training: bool | None
    ) -> Tensor:
        stage = list(stage)
        normalize = stage.pop() if self.normalization is not None else None
        y = ops.concatenate([convolution(x) for convolution in stage], -1)
        return y if normalize is None else normalize(y, training=training)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Returns the feature map of the images `x`."""
        y = self._run(self._first, x, training)
        if self.residual:
            y = self._run(self._second, self._activate(y), training)
            if self._shortcut:
                x = self._run(self._shortcut, x, training)
            y = y + x
        return self._dropout(self._activate(y), training=training)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns (batch, height / strides, width / strides, filters)."""
        batch, *sizes, _ = input_shape
        sizes = [size and -(-size // self.strides) for size in sizes]
        return (batch, *sizes, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        size = self.kernel_size
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": size if isinstance(size, int) else list(size),
            "strides": self.strides,
            "residual": self.residual,
            "activation": self.activation,
            "normalization": self.normalization,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }
