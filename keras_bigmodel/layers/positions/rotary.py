"""Rotary position encoding."""

from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers import decoding
from keras_bigmodel.layers.positions import rotary_scaling
from keras_bigmodel.layers.positions.base import PositionEncoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class RotaryPositionEncoding(PositionEncoding):
    """Turns queries and keys by an angle that grows with their position.

    Each head is cut into pairs (a, b). At position p the pair i becomes

        (a cos - b sin, b cos + a sin), of the angle p * base ** (-2 i / d)

    with d the number of features turned. A product of a query and a key then
    depends on their distance alone.

    Args:
        base: the longest period, in positions over 2 pi.
        rotary_dim: how many features of each head are turned, the first ones;
            the rest pass unchanged. None turns all.
        interleaved: whether neighbours are a pair, (x0, x1), (x2, x3), as in
            the paper and in GPT-J, instead of the halves, (x0, x[d / 2]), as in
            GPT-NeoX and Llama.
        scaling: None, or how to stretch the angles to longer texts: a dict of
            a `"type"` and the options which released models keep in
            `rope_scaling`:

            - `"linear"`: `factor`;
            - `"dynamic"`: `factor`, `original_max_position_embeddings`;
            - `"llama3"`: `factor`, `low_freq_factor`, `high_freq_factor`,
              `original_max_position_embeddings`;
            - `"longrope"`: `factor`, `original_max_position_embeddings`,
              `short_factor`, `long_factor` (lists, a divisor for each pair)
              and, as an option, `attention_factor`;
            - `"yarn"`: `factor`, `original_max_position_embeddings` and, as
              options, `beta_fast`, `beta_slow`, `attention_factor`, `mscale`,
              `mscale_all_dim`, `truncate`.

    Input shape:
        `rotate` takes queries and keys of (batch, sequence, heads, head_dim).

    Output shape:
        The same.

    Precision:
        Angles, sines and cosines are float32; they are cast to the dtype of
        the queries before the product.

    Raises:
        ValueError: if the number of turned features is odd or more than
            `head_dim`, or `scaling` is not one of the above.

    Example:
    ```python
    import numpy as np
    import keras_bigmodel as kbm

    rotary = kbm.layers.RotaryPositionEncoding(base=500_000.0)
    query = key = np.ones((1, 5, 2, 8), "float32")
    query, key = rotary.rotate(query, key, np.arange(5)[None])
    ```

    References:
        - Su et al. 2021, RoFormer, section 3.2, https://arxiv.org/abs/2104.09864
        - Chen et al. 2023, Extending Context Window of Large Language Models
          via Positional Interpolation, section 2.3 (linear),
          https://arxiv.org/abs/2306.15595
        - Grattafiori et al. 2024, The Llama 3 Herd of Models, section 3.2
          (llama3), https://arxiv.org/abs/2407.21783
        - Peng et al. 2023, YaRN, sections 3.2 to 3.4 and, for dynamic,
          section 3.3, https://arxiv.org/abs/2309.00071
        - Ding et al. 2024, LongRoPE, section 3, and its published code for the
          magnitude, https://arxiv.org/abs/2402.13753. Under dynamic scaling
          and LongRoPE each row of a batch goes by its own length, and keys in
          a cache keep the angles of the length at which they were written.
    """

    def __init__(
        self,
        base: float = 10000.0,
        rotary_dim: int | None = None,
        interleaved: bool = False,
        scaling: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not base > 1:
            raise ValueError(f"`base` must be above 1. Received: base={base}")
        if rotary_dim is not None and (rotary_dim < 2 or rotary_dim % 2):
            raise ValueError(
                "`rotary_dim` must be even and positive: features turn in "
                f"pairs. Received: rotary_dim={rotary_dim}"
            )
        self.base = base
        self.rotary_dim = rotary_dim
        self.interleaved = interleaved
        self.scaling = scaling and dict(scaling)
        self._scaling = rotary_scaling.resolve(scaling)

    def rotate(
        self, query: Tensor, key: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns `query` and `key`, turned by the angles of `positions`."""
        head_dim = query.shape[-1]
        rotary_dim = self.rotary_dim or head_dim
        if rotary_dim > head_dim or rotary_dim % 2:
            raise ValueError(
                "The features turned must be even in number and at most "
                f"`head_dim`. Received: rotary_dim={self.rotary_dim}, "
                f"head_dim={head_dim}"
            )
        cosine, sine = self._tables(positions, rotary_dim, query.dtype)
        return self._turn(query, cosine, sine), self._turn(key, cosine, sine)

    def _tables(
        self, positions: Tensor, rotary_dim: int, dtype: Any
    ) -> tuple[Tensor, Tensor]:
        """Returns cosines and signed sines, (batch or 1, T, 1, rotary_dim).

        The layers of a model that stand at the same positions share them. The
        positions are kept beside the tables, lest their id be given anew.
        """

        def compute():
            frequencies = self._scaling.frequencies(
                self.base, rotary_dim, positions
            )
            # The first of a pair turns backwards: a cosine does not see the
            # sign, and the sine gets the one of the formula.
            if self.interleaved:
                frequencies = ops.stack([-frequencies, frequencies], axis=-1)
                shape = (*frequencies.shape[:-2], rotary_dim)
                frequencies = ops.reshape(frequencies, shape)
            else:
                frequencies = ops.concatenate([-frequencies, frequencies], -1)
            angles = ops.cast(positions, "float32")[..., None] * ops.cast(
                frequencies, "float32"
            )
            tables = [
                ops.cast(function(angles) * self._scaling.magnitude, dtype)
                for function in (ops.cos, ops.sin)
            ]
            return positions, *(ops.expand_dims(table, 2) for table in tables)

        settings = (self.base, rotary_dim, self.interleaved, self._scaling)
        key = ("rotary", *settings, str(dtype), id(positions))
        _, cosine, sine = decoding.shared(key, compute)
        return cosine, sine

    def _turn(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        rotary_dim = cosine.shape[-1]
        if rotary_dim < x.shape[-1]:
            turned = self._turn(x[..., :rotary_dim], cosine, sine)
            return ops.concatenate([turned, x[..., rotary_dim:]], axis=-1)
        if self.interleaved:
            pairs = ops.reshape(x, (-1, rotary_dim // 2, 2))
            partners = ops.reshape(ops.flip(pairs, axis=-1), ops.shape(x))
        else:
            partners = ops.roll(x, rotary_dim // 2, axis=-1)
        return x * cosine + partners * sine

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "base": self.base,
            "rotary_dim": self.rotary_dim,
            "interleaved": self.interleaved,
            "scaling": self.scaling and dict(self.scaling),
        }
