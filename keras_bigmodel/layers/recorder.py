"""Looks at attention without changing the model."""

import contextvars
from typing import Any

import numpy as np
from keras import ops

Tensor = Any

_ACTIVE: contextvars.ContextVar["AttentionRecorder | None"] = (
    contextvars.ContextVar("keras_bigmodel_attention_recorder", default=None)
)


class AttentionRecorder:
    """Collects the attention probabilities of every layer called within it.

    The model runs as always and returns what it always returns. A layer that
    is called several times is kept under its name, `name:1`, `name:2`, ....
    Attention layers take the plain path, which has the probabilities at hand.

    Call the model itself, `model(x)`: `model.predict` runs a graph that was
    traced outside.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    layer = kbm.layers.SelfAttention(num_heads=2, name="attention")
    with kbm.layers.AttentionRecorder() as recorder:
        y = layer(np.ones((1, 3, 8), "float32"))
    recorder["attention"].shape  # (1, 2, 3, 3)
    ```

    References:
        Vaswani et al. 2017, "Attention Is All You Need", figures 3 to 5, for
        reading such pictures.
    """

    def __init__(self) -> None:
        self.probabilities: dict[str, Tensor] = {}
        self._tokens: list[Any] = []

    @staticmethod
    def current() -> "AttentionRecorder | None":
        """Returns the innermost active recorder of this thread, or None."""
        return _ACTIVE.get()

    def __enter__(self) -> "AttentionRecorder":
        self._tokens.append(_ACTIVE.set(self))
        return self

    def __exit__(self, *unused: Any) -> None:
        _ACTIVE.reset(self._tokens.pop())

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns one layer's probabilities, (batch, heads, query, key)."""
        if name not in self.probabilities:
            raise ValueError(
                f"No attention layer of that name was called. Received: "
                f"name={name!r}, recorded: {sorted(self.probabilities)}"
            )
        return ops.convert_to_numpy(self.probabilities[name])

    def record(self, name: str, probabilities: Tensor) -> None:
        """Keeps the probabilities of one call of the layer `name`."""
        key, use = name, 0
        while key in self.probabilities:
            use += 1
            key = f"{name}:{use}"
        self.probabilities[key] = probabilities

    def plot(
        self,
        name: str,
        tokens: list[str] | None = None,
        row: int = 0,
        key_tokens: list[str] | None = None,
    ) -> Any:
        """Draws one heat map a head.

        Args:
            name: The layer's name in `probabilities`.
            tokens: What to write beside the queries, and below the keys unless
                `key_tokens` is given.
            row: Which row of the batch.
            key_tokens: What to write below the keys.

        Returns:
            A matplotlib figure.

        Raises:
            ValueError: If no layer of that name was recorded.
            ImportError: If matplotlib is missing.
        """
        from matplotlib import pyplot

        heads = self[name][row]
        columns = min(4, len(heads))
        rows = -(-len(heads) // columns)
        figure, axes = pyplot.subplots(
            rows,
            columns,
            figsize=(3.2 * columns, 3.2 * rows),
            squeeze=False,
            layout="constrained",
        )
        for panel in axes.flat[len(heads) :]:
            panel.axis("off")
        for head, (panel, weights) in enumerate(
            zip(axes.flat, heads, strict=False)
        ):
            panel.imshow(weights, cmap="viridis", vmin=0.0, aspect="auto")
            panel.set_title(f"head {head}", fontsize=9)
            _label(panel, tokens, key_tokens or tokens)
        figure.suptitle(name)
        figure.supxlabel("key")
        figure.supylabel("query")
        return figure


def _label(panel: Any, queries: Any, keys: Any) -> None:
    if queries is not None:
        panel.set_yticks(range(len(queries)), queries, fontsize=6)
    if keys is not None:
        panel.set_xticks(range(len(keys)), keys, rotation=90, fontsize=6)
