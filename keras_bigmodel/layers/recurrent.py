"""Keras's LSTM and GRU, which remember under a decoding scope."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers.decoding import DecodingScope

Tensor = Any

_PORTABLE = contextvars.ContextVar("keras_bigmodel_portable", default=False)


@contextlib.contextmanager
def portable_recurrence() -> Iterator[None]:
    """Has recurrent layers run by ops that every device has.

    Keras picks cuDNN's kernels where a GPU is present when a graph is traced;
    such a graph fails on a host without one. Trace exports within this.
    """
    token = _PORTABLE.set(True)
    try:
        yield
    finally:
        _PORTABLE.reset(token)


class _Recurrence:
    """Keeps a layer's states in the active scope, from step to step."""

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; Keras leaves one out."""
        return {**super().get_config(), "use_cudnn": self.use_cudnn}

    def inner_loop(
        self,
        sequences: Tensor,
        initial_state: list[Tensor],
        mask: Tensor | None,
        training: bool = False,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Runs the recurrence: last output, all outputs, states."""
        scope = DecodingScope.current()
        if scope is None:
            if _PORTABLE.get() or self._is_beyond_cudnn():
                return keras.layers.RNN.inner_loop(
                    self, sequences, initial_state, mask, training
                )
            return super().inner_loop(sequences, initial_state, mask, training)
        if self.go_backwards:
            raise ValueError(
                "A layer that goes backwards cannot run in steps: it begins "
                "with the last token. Received: go_backwards=True, "
                f"name={self.name!r}"
            )
        batch, length = ops.shape(sequences)[:2]
        scope.observe_padding(mask)
        scope.positions(batch, length)
        name = scope.name_for(self)
        kept = [
            scope.read(f"{name}/{index}", batch)
            for index in range(len(initial_state))
        ]
        states = [
            start if old is None else ops.cast(old, start.dtype)
            for old, start in zip(kept, initial_state, strict=True)
        ]
        mask = scope.padding_mask
        if sequences.shape[1] == 1 and mask is None:
            output, states = self.cell(
                sequences[:, 0], states, training=training
            )
            results = output, output[:, None], list(states)
        else:
            results = keras.layers.RNN.inner_loop(
                self, sequences, states, mask, training
            )
        for index, state in enumerate(results[2]):
            scope.write(f"{name}/{index}", state)
        return results

    def _is_beyond_cudnn(self) -> bool:
        # JAX's way to cuDNN knows float32 alone, and Keras does not ask.
        other = self.compute_dtype != "float32"
        return other and keras.config.backend() == "jax"


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class LSTM(_Recurrence, keras.layers.LSTM):
    """Keras's LSTM, which carries its state through a `DecodingScope`.

    Computes, with gates i, f, o and candidate g from the input x and the
    output h before,

        c = f * c + i * g,    h = o * tanh(c)

    Args:
        units: Size of the output and of each state.
        **kwargs: As in `keras.layers.LSTM`.

    Call arguments:
        sequences: The inputs.
        initial_state: States to start from; default: zeros, or under a scope
            those that the step before left.
        mask: Booleans, (batch, sequence), True where there is a token.
        training: Whether dropout is active.

    Input shape:
        (batch, sequence, features)

    Output shape:
        (batch, units), or (batch, sequence, units) if `return_sequences`.

    Masking:
        Padding leaves the state as it is, on either side of the tokens; the
        mask is passed on if `return_sequences`.

    Raises:
        ValueError: If a layer with `go_backwards` is called under a scope.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    layer = kbm.layers.LSTM(8, return_sequences=True)
    layer(np.ones((2, 5, 3), "float32")).shape  # (2, 5, 8)
    ```

    References:
        Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; Gers et al.
        2000, "Learning to Forget", section 3, for the forget gate.
    """


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class GRU(_Recurrence, keras.layers.GRU):
    """Keras's GRU, which carries its state through a `DecodingScope`.

    Computes, with the update gate z, the reset gate r and the candidate g from
    the input x and the output h before,

        h = z * h + (1 - z) * g

    Args:
        units: Size of the output and of the state.
        **kwargs: As in `keras.layers.GRU`.

    Call arguments:
        sequences: The inputs.
        initial_state: State to start from; default: zeros, or under a scope
            the one that the step before left.
        mask: Booleans, (batch, sequence), True where there is a token.
        training: Whether dropout is active.

    Input shape:
        (batch, sequence, features)

    Output shape:
        (batch, units), or (batch, sequence, units) if `return_sequences`.

    Masking:
        Padding leaves the state as it is, on either side of the tokens; the
        mask is passed on if `return_sequences`.

    Raises:
        ValueError: If a layer with `go_backwards` is called under a scope.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    layer = kbm.layers.GRU(8)
    layer(np.ones((2, 5, 3), "float32")).shape  # (2, 8)
    ```

    References:
        Cho et al. 2014, "Learning Phrase Representations using RNN
        Encoder-Decoder", section 2.3.
    """
