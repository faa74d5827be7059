"""What self- and cross-attention share: projections and the choice of path."""

from collections.abc import Callable, Collection
from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers import chunked_attention, dot_product
from keras_bigmodel.layers.decoding import current_kernels, shared
from keras_bigmodel.layers.masks import Visibility
from keras_bigmodel.layers.parts import as_layer, build_part, part_config
from keras_bigmodel.layers.projection import project
from keras_bigmodel.layers.recorder import AttentionRecorder

Tensor = Any
PROJECTIONS = ("query", "key", "value", "output")


class GroupedAttention(keras.layers.Layer):
    """Projects to heads, attends, and projects back.

    The arguments are those of `SelfAttention`, which documents them.
    """

    def __init__(
        self,
        num_heads: int,
        head_dim: int | None = None,
        num_key_value_heads: int | None = None,
        *,
        use_bias: bool | Collection[str] = True,
        query_normalization: keras.layers.Layer | None = None,
        key_normalization: keras.layers.Layer | None = None,
        logit_soft_cap: float | None = None,
        scale: float | None = None,
        use_sinks: bool = False,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.num_key_value_heads = num_key_value_heads or num_heads
        self.use_bias = _biased_projections(use_bias)
        self.query_normalization = as_layer(query_normalization)
        self.key_normalization = as_layer(key_normalization)
        self.logit_soft_cap = logit_soft_cap
        self.scale = scale
        self.use_sinks = use_sinks
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self._check_arguments()
        self._dropout = (
            keras.layers.Dropout(dropout, dtype=self.dtype_policy)
            if dropout
            else None
        )

    def _check_arguments(self) -> None:
        if self.num_heads < 1 or self.num_key_value_heads < 1:
            raise ValueError(
                "`num_heads` and `num_key_value_heads` must be at least 1. "
                f"Received: num_heads={self.num_heads}, "
                f"num_key_value_heads={self.num_key_value_heads}"
            )
        if self.num_heads % self.num_key_value_heads:
            raise ValueError(
                "`num_key_value_heads` must divide `num_heads`: each key head "
                "serves as many query heads as every other. Received: "
                f"num_heads={self.num_heads}, "
                f"num_key_value_heads={self.num_key_value_heads}"
            )
        if self.logit_soft_cap is not None and not self.logit_soft_cap > 0:
            raise ValueError(
                "`logit_soft_cap` must be positive, or None for no cap. "
                f"Received: logit_soft_cap={self.logit_soft_cap}"
            )

    def _build_projections(
        self, query_dim: int, context_dim: int, output_dim: int
    ) -> None:
        if self.head_dim is None and query_dim % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the hidden dimension when no "
                "`head_dim` is given. Received: "
                f"num_heads={self.num_heads}, hidden_dim={query_dim}"
            )
        self._width = self.head_dim or query_dim // self.num_heads
        key_width = self.num_key_value_heads * self._width
        widths = {
            "query": (query_dim, self.num_heads * self._width),
            "key": (context_dim, key_width),
            "value": (context_dim, key_width),
            "output": (self.num_heads * self._width, output_dim),
        }
        for name, (input_dim, units) in widths.items():
            projection = keras.layers.Dense(
                units,
                use_bias=name in self.use_bias,
                # Each its own: one used twice draws the same twice.
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=self.dtype_policy,
                name=name,
            )
            projection.build((None, None, input_dim))
            setattr(self, f"{name}_projection", projection)
        for layer, heads in (
            (self.query_normalization, self.num_heads),
            (self.key_normalization, self.num_key_value_heads),
        ):
            build_part(layer, (None, None, heads, self._width))
        if self.use_sinks:
            self.sinks = self.add_weight(
                name="sinks", shape=(self.num_heads,), initializer="zeros"
            )

    def _project(
        self,
        projection: keras.layers.Layer,
        x: Tensor,
        num_heads: int,
        normalization: keras.layers.Layer | None = None,
    ) -> Tensor:
        """Returns x's heads, (B, T, heads, D)."""
        x = project(projection, x, (num_heads, self._width))
        return x if normalization is None else normalization(x)

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        visibility: Visibility,
        *,
        bias: Callable[[Tensor, Tensor], Tensor | None] | None = None,
        bias_is_trained: bool = False,
        aligned: bool = False,
        in_order: bool = False,
        training: bool | None = None,
    ) -> Tensor:
        """Attends by the path that suits, and projects the heads back.

        Args:
            query: (B, T, H, D).
            key: (B, K, S, D).
            value: (B, K, S, D).
            visibility: What each query may see.
            bias: From query and key positions to a bias on the scores.
            bias_is_trained: Whether the bias needs a gradient.
            aligned: Whether query t and key t are the same token.
            in_order: Whether, moreover, token t is at position t.
            training: Whether to drop probabilities.

        Returns:
            (B, T, output_dim).
        """
        scale = self._width**-0.5 if self.scale is None else self.scale
        transpose = current_kernels().transpose
        query = dot_product.group_heads(
            query * scale, self.num_key_value_heads, transpose
        )
        dropping = self._dropout is not None and bool(training)
        recorder = AttentionRecorder.current()
        simple = not (dropping or recorder or self.use_sinks)
        heads = query, key, value
        if simple and self._fuses(query, visibility, bias, in_order):
            output = self._attend_fused(heads, visibility, in_order)
        elif (
            simple
            and not bias_is_trained
            and chunked_attention.is_worthwhile(query, key, visibility, aligned)
        ):
            output = chunked_attention.chunked_attend(
                *heads,
                visibility,
                bias or _no_bias,
                soft_cap=self.logit_soft_cap,
                aligned=aligned,
                in_order=in_order and visibility.causal,
            )
        else:
            output = self._attend_plainly(
                heads, visibility, bias, recorder, training
            )
        return project(
            self.output_projection,
            dot_product.ungroup_heads(output, transpose),
        )

    def _fuses(self, query, visibility, bias, in_order):
        by_index = in_order or not visibility.causal
        masked = not (by_index and visibility.hides_later_keys_alone)
        if self.logit_soft_cap or not dot_product.fuses(query, masked):
            return False
        # Fused kernels would round a bias to the compute dtype.
        positions = visibility.query_positions, visibility.key_positions
        return bias is None or bias(*positions) is None

    def _attend_fused(self, heads, visibility, in_order):
        # Which rows see nothing shows in a whole mask only.
        whole = visibility.may_hide_everything
        by_index = in_order and visibility.causal
        mask = visibility.mask(without_causal=by_index and not whole)
        return dot_product.attend_fused(
            *heads,
            self._grouped(mask),
            causal=by_index,
            may_hide_everything=whole,
        )

    def _attend_plainly(self, heads, visibility, bias, recorder, training):
        def drop(probabilities):
            return self._dropout(probabilities, training=training)

        def record(probabilities):
            recorder.record(self.path or self.name, probabilities)

        added = bias and bias(
            visibility.query_positions, visibility.key_positions
        )

        # Layers that see the same share one mask in a step.
        _, mask = shared(
            ("mask", self.num_key_value_heads, *visibility.part_ids()),
            # With what keeps its ids.
            lambda: (visibility, self._grouped(visibility.mask())),
        )
        return current_kernels().attend(
            *heads,
            mask,
            self._grouped(added),
            soft_cap=self.logit_soft_cap,
            sinks=self._grouped_sinks(),
            may_hide_everything=visibility.may_hide_everything,
            dropout=self._dropout and drop,
            record=recorder and record,
        )

    def _grouped(self, scores: Tensor | None) -> Tensor | None:
        return dot_product.group_scores(scores, self.num_key_value_heads)

    def _grouped_sinks(self) -> Tensor | None:
        if not self.use_sinks:
            return None
        return ops.reshape(self.sinks, (self.num_key_value_heads, -1))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "head_dim": self.head_dim,
            "num_key_value_heads": self.num_key_value_heads,
            "use_bias": list(self.use_bias),
            "query_normalization": part_config(self.query_normalization),
            "key_normalization": part_config(self.key_normalization),
            "logit_soft_cap": self.logit_soft_cap,
            "scale": self.scale,
            "use_sinks": self.use_sinks,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }


def _biased_projections(use_bias: bool | Collection[str]) -> tuple[str, ...]:
    if isinstance(use_bias, bool):
        return PROJECTIONS if use_bias else ()
    unknown = sorted(set(use_bias) - set(PROJECTIONS))
    if isinstance(use_bias, str) or unknown:
        raise ValueError(
            f"`use_bias` must be a bool or a collection of {PROJECTIONS}. "
            f"Received: use_bias={use_bias!r}"
        )
    return tuple(name for name in PROJECTIONS if name in use_bias)


def _no_bias(query_positions: Tensor, key_positions: Tensor) -> None:
    return None
