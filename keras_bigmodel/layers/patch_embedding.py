"""From an image to a sequence of patches."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class PatchEmbedding(keras.layers.Layer):
    """Cuts images into patches and embeds each, with its place.

        y = [class_token, patch[0] kernel + bias, ...] + position_embeddings

    Patches go row by row. Images of another size than the positions were made
    for get interpolated ones: bilinear between the centres of the patches.

    Args:
        patch_size: height and width of a patch, in pixels: a number, or both.
        hidden_dim: the width of the embeddings.
        class_token: whether a trained token comes first, whose output stands
            for the image.
        distillation_token: whether another one follows it, which a teacher
            trains (DeiT).
        use_positions: whether trained positions are added.
        image_shape: height and width the positions are made for, in pixels;
            None takes those of the input the layer is built on.
        kernel_initializer: initializer of the projection.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        (batch, patches, hidden_dim), one more for each token.

    Masking:
        None: every patch is visible.

    Precision:
        Interpolation weights are computed in float32.

    Raises:
        ValueError: if patches do not divide the image, or positions are to be
            made and the size is not known. Of a size that is known to the
            device alone, the pixels left over at the end are not seen.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    images = keras.Input((32, 32, 3))
    x = kbm.layers.PatchEmbedding(patch_size=8, hidden_dim=64)(images)
    ```

    References:
        - Dosovitskiy et al. 2020, An Image is Worth 16x16 Words, sections 3.1
          and 3.2, https://arxiv.org/abs/2010.11929. The position of the class
          token is not interpolated.
        - Touvron et al. 2020, Training data-efficient image transformers,
          section 3 (the distillation token).
    """

    def __init__(
        self,
        patch_size: int | tuple[int, int],
        hidden_dim: int,
        class_token: bool = True,
        use_positions: bool = True,
        image_shape: tuple[int, ...] | None = None,
        distillation_token: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        both = (patch_size,) * 2 if isinstance(patch_size, int) else patch_size
        if len(both) != 2 or min(both) < 1 or hidden_dim < 1:
            raise ValueError(
                "`patch_size` must be one or two positive numbers, and "
                "`hidden_dim` positive. Received: "
                f"patch_size={patch_size}, hidden_dim={hidden_dim}"
            )
        if distillation_token and not class_token:
            raise ValueError(
                "A distillation token follows a class token. Received: "
                "class_token=False, distillation_token=True"
            )
        self.patch_size = tuple(both)
        self.hidden_dim = hidden_dim
        self.class_token = class_token
        self.distillation_token = distillation_token
        self.use_positions = use_positions
        self.image_shape = image_shape and tuple(image_shape)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates projection, class token and positions."""
        self.projection = keras.layers.Conv2D(
            self.hidden_dim,
            self.patch_size,
            strides=self.patch_size,
            data_format="channels_last",
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build(input_shape)
        if self.class_token:
            self.class_embedding = self._embeddings("class_embedding", 1)
        if self.distillation_token:
            self.distillation_embedding = self._embeddings(
                "distillation_embedding", 1
            )
        if self.use_positions:
            size = self.image_shape or input_shape[1:3]
            if None in size[:2]:
                raise ValueError(
                    "Positions need the size of an image: give `image_shape`. "
                    f"Received: image_shape=None, input_shape={input_shape}"
                )
            self.grid = self._grid(size)
            count = self.grid[0] * self.grid[1] + self._num_tokens
            self.position_embeddings = self._embeddings(
                "position_embeddings", count
            )

    @property
    def _num_tokens(self) -> int:
        return int(self.class_token) + int(self.distillation_token)

    def _embeddings(self, name: str, rows: int) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=(rows, self.hidden_dim),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )

    def _grid(self, size: Any) -> list[Any]:
        """Returns how many patches an image has, down and across."""
        for pixels, patch in zip(size, self.patch_size, strict=False):
            if isinstance(pixels, int) and (pixels % patch or not pixels):
                raise ValueError(
                    "Patches must divide the image. Received: "
                    f"image size={tuple(size[:2])}, "
                    f"patch_size={self.patch_size}"
                )
        pairs = zip(size, self.patch_size, strict=False)
        return [
            None if pixels is None else pixels // patch
            for pixels, patch in pairs
        ]

    def call(self, x: Tensor) -> Tensor:
        """Returns the embedded patches of the images `x`."""
        grid = self._grid(ops.shape(x)[1:3])
        x = self.projection(x)
        batch = ops.shape(x)[0]
        x = ops.reshape(x, (batch, grid[0] * grid[1], self.hidden_dim))
        tokens = [
            ops.broadcast_to(token, (batch, 1, self.hidden_dim))
            for token in self._tokens()
        ]
        x = ops.concatenate([*tokens, x], axis=1)
        return x + self._positions(grid) if self.use_positions else x

    def _tokens(self) -> list[Any]:
        tokens = [self.class_embedding] if self.class_token else []
        if self.distillation_token:
            tokens.append(self.distillation_embedding)
        return tokens

    def _positions(self, grid: list[Any]) -> Tensor:
        """Returns the positions of a grid of patches."""
        table = ops.convert_to_tensor(self.position_embeddings)
        known = all(isinstance(length, int) for length in grid)
        if known and grid == list(self.grid):
            return table
        first = self._num_tokens
        patches = ops.reshape(table[first:], (*self.grid, self.hidden_dim))
        down, across = (
            ops.cast(_between_centres(length, of), table.dtype)
            for length, of in zip(grid, self.grid, strict=True)
        )
        patches = ops.einsum("ir,jc,rcd->ijd", down, across, patches)
        patches = ops.reshape(patches, (-1, self.hidden_dim))
        return ops.concatenate([table[:first], patches], axis=0)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns (batch, patches, hidden_dim)."""
        grid = self._grid(input_shape[1:3])
        length = None
        if None not in grid:
            length = grid[0] * grid[1] + self._num_tokens
        return (input_shape[0], length, self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "patch_size": list(self.patch_size),
            "hidden_dim": self.hidden_dim,
            "class_token": self.class_token,
            "distillation_token": self.distillation_token,
            "use_positions": self.use_positions,
            "image_shape": self.image_shape and list(self.image_shape),
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }


def _between_centres(length: Any, of: int) -> Tensor:
    """Returns the (length, of) weights of linear interpolation."""
    step = of / ops.cast(length, "float32")
    centres = (ops.arange(length, dtype="float32") + 0.5) * step - 0.5
    centres = ops.clip(centres, 0, of - 1)[:, None]
    distances = ops.abs(centres - ops.arange(of, dtype="float32"))
    return ops.maximum(1 - distances, 0)
