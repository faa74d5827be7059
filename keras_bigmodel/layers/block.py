"""What encoder and decoder blocks share: branches around a residual stream."""

import inspect
from typing import Any

import keras

from keras_bigmodel.layers.decoding import current_kernels
from keras_bigmodel.layers.feed_forward import FeedForward
from keras_bigmodel.layers.masks import combined_padding
from keras_bigmodel.layers.parts import as_layer, build_part, part_config
from keras_bigmodel.layers.rms_normalization import RMSNormalization

Tensor = Any


class TransformerBlock(keras.layers.Layer):
    """Runs attention and feed-forward branches, each added to its input.

    The arguments are those of `EncoderBlock` and `DecoderBlock`, which
    document them.
    """

    def __init__(
        self,
        self_attention: keras.layers.Layer,
        cross_attention: keras.layers.Layer | None,
        feed_forward: keras.layers.Layer,
        *,
        normalization: str | keras.layers.Layer = "layer",
        epsilon: float = 1e-5,
        normalize_first: bool = True,
        normalize_branch: bool = False,
        parallel: bool = False,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        if parallel and not normalize_first:
            raise ValueError(
                "Parallel branches read the normalised input of the block. "
                "Received: parallel=True, normalize_first=False"
            )
        self.self_attention = self_attention
        self.cross_attention = cross_attention
        self.feed_forward = feed_forward
        parameters = inspect.signature(feed_forward.call).parameters
        self._masks_feed_forward = "mask" in parameters
        self.normalization = as_layer(normalization)
        self.epsilon = epsilon
        self.normalize_first = normalize_first
        self.normalize_branch = normalize_branch
        self.parallel = parallel
        self.dropout = dropout
        self.drop_path = drop_path
        names = ["self_attention", "feed_forward"]
        if cross_attention is not None:
            names.insert(1, "cross_attention")
        for name in names:
            self._add_branch(name)

    def _add_branch(self, name: str) -> None:
        policy = self.dtype_policy
        if self.normalize_first or not self.normalize_branch:
            layer = self._new_normalization(f"{name}_normalization")
            setattr(self, f"{name}_normalization", layer)
        if self.normalize_branch:
            layer = self._new_normalization(f"{name}_branch_normalization")
            setattr(self, f"{name}_branch_normalization", layer)
        if self.dropout:
            layer = keras.layers.Dropout(self.dropout, dtype=policy)
            setattr(self, f"{name}_dropout", layer)
        if self.drop_path:
            layer = keras.layers.Dropout(
                self.drop_path, noise_shape=(None, 1, 1), dtype=policy
            )
            setattr(self, f"{name}_drop_path", layer)

    def _new_normalization(self, name: str) -> keras.layers.Layer:
        return new_normalization(
            self.normalization, self.epsilon, self.dtype_policy, name
        )

    def _build_branches(self, x_shape: Any, context_shape: Any = None) -> None:
        for name, layer in list(self.__dict__.items()):
            if name.endswith("_normalization") and layer is not None:
                layer.build(x_shape)
        build_part(self.self_attention, x_shape)
        build_part(self.cross_attention, x_shape, context_shape)
        build_part(self.feed_forward, x_shape)

    def _normalized(self, x: Tensor, name: str) -> Tensor:
        """Returns the input of a branch."""
        if not self.normalize_first:
            return x
        return _normalize(getattr(self, f"{name}_normalization"), x)

    def _finish(self, y: Tensor, name: str, training: bool | None) -> Tensor:
        """Returns what a branch adds to the residual stream."""
        if self.normalize_branch:
            y = _normalize(getattr(self, f"{name}_branch_normalization"), y)
        if self.dropout:
            y = getattr(self, f"{name}_dropout")(y, training=training)
        if self.drop_path:
            y = getattr(self, f"{name}_drop_path")(y, training=training)
        return y

    def _added(
        self, x: Tensor, y: Tensor, name: str, training: bool | None
    ) -> Tensor:
        """Returns the stream x after the branch `name` gave y."""
        x = x + self._finish(y, name, training)
        if self.normalize_first or self.normalize_branch:
            return x
        return _normalize(getattr(self, f"{name}_normalization"), x)

    def _run(
        self,
        x: Tensor,
        attend: Any,
        attend_context: Any = None,
        padding_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        # Sums carry no Keras mask on to the second branch.
        mask = combined_padding(padding_mask, getattr(x, "_keras_mask", None))

        def feed(normalized: Tensor) -> Tensor:
            kwargs = {"mask": mask} if self._masks_feed_forward else {}
            return self.feed_forward(normalized, training=training, **kwargs)

        attended = attend(self._normalized(x, "self_attention"))
        if self.parallel:
            fed = feed(self._normalized(x, "feed_forward"))
            return (
                x
                + self._finish(attended, "self_attention", training)
                + self._finish(fed, "feed_forward", training)
            )
        x = self._added(x, attended, "self_attention", training)
        if attend_context is not None:
            y = attend_context(self._normalized(x, "cross_attention"))
            x = self._added(x, y, "cross_attention", training)
        y = feed(self._normalized(x, "feed_forward"))
        return self._added(x, y, "feed_forward", training)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that both kinds of blocks have."""
        normalization = self.normalization
        if not isinstance(normalization, str):
            normalization = part_config(normalization)
        return {
            **super().get_config(),
            "normalization": normalization,
            "epsilon": self.epsilon,
            "normalize_first": self.normalize_first,
            "normalize_branch": self.normalize_branch,
            "parallel": self.parallel,
            "dropout": self.dropout,
            "drop_path": self.drop_path,
        }

    def compute_output_spec(
        self, x: Tensor, *unused: Any, **unused_too: Any
    ) -> keras.KerasTensor:
        """Returns x's shape in the compute dtype."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)


def _normalize(layer: keras.layers.Layer, x: Tensor) -> Tensor:
    return current_kernels().normalize(layer, x)


def new_normalization(
    kind: str | keras.layers.Layer,
    epsilon: float,
    dtype: Any = None,
    name: str | None = None,
) -> keras.layers.Layer:
    """Returns a new normalisation layer.

    Args:
        kind: "layer", "rms", or a layer whose configuration is copied.
        epsilon: Added to the variance or mean square; a given layer has its
            own.
        dtype: Dtype policy; a given layer has its own.
        name: The new layer's name.

    Raises:
        ValueError: If `kind` is another word.
    """
    if isinstance(kind, keras.layers.Layer):
        return kind.__class__.from_config({**kind.get_config(), "name": name})
    kinds = {
        "layer": keras.layers.LayerNormalization,
        "rms": RMSNormalization,
    }
    if kind not in kinds:
        raise ValueError(
            '`normalization` must be "layer", "rms" or a layer. '
            f"Received: normalization={kind!r}"
        )
    return kinds[kind](epsilon=epsilon, dtype=dtype, name=name)


def new_feed_forward(
    feed_forward: keras.layers.Layer | dict | None, **arguments: Any
) -> keras.layers.Layer:
    """Returns the given layer, or a `FeedForward` of these arguments.

    Raises:
        ValueError: If neither a layer nor `intermediate_dim` is given, or both.
    """
    intermediate_dim = arguments["intermediate_dim"]
    if (feed_forward is None) == (intermediate_dim is None):
        raise ValueError(
            "Give either `intermediate_dim` or a `feed_forward` layer. "
            f"Received: intermediate_dim={intermediate_dim}, "
            f"feed_forward={feed_forward}"
        )
    if feed_forward is not None:
        return as_layer(feed_forward)
    return FeedForward(name="feed_forward", **arguments)
