"""The decoding scope: runs a model a few tokens at a time.

Inside `with DecodingScope(...) as scope`, a model is called as always; its
attention, recurrent and position layers ask the scope for what earlier steps
left behind. The model itself knows nothing of it.
"""

import contextvars
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers.kernels import KERAS, Kernels
from keras_bigmodel.layers.masks import check_mask

Tensor = Any

_ACTIVE: contextvars.ContextVar["DecodingScope | None"] = (
    contextvars.ContextVar("keras_bigmodel_decoding_scope", default=None)
)

LENGTHS = "lengths"


class DecodingScope:
    """Carries the state of incremental decoding between calls of a model.

    Each entry of the scope is one step: the first sees the prompt, each later
    one the tokens that follow. A step of T tokens appends T keys and values to
    every attention cache, and gives the outputs which the whole sequence in
    one call would have given at those positions. The model may be functional,
    Sequential or subclassed; a layer that is used several times in it has a
    cache for each use. So has a model that is called twice in one entry: both
    calls stand at the same positions, and every entry must then make both. An
    entry that ends with an exception leaves the state as it was.

    A token at position p of its row lives in slot p of the cache (slot
    p mod window under a sliding window), so rows of different lengths share
    one batch: hand `padding_mask` over with the ragged step, padding on either
    side.

    The state is a flat dict of tensors whose first axis is the batch. It can
    be gathered along the batch (beams), carried through a loop, cast to
    another float type or returned from a SavedModel signature, and handed to a
    new scope as `state`.

    Args:
        max_length: Slots of each cache: the most tokens a row can hold, its
            padding in a ragged step included.
        state: What an earlier scope left behind; None starts anew.
        padding_mask: Booleans, (batch, sequence), True where the next step has
            a token; None: everywhere, or as the model's own mask says.
        cache_dtype: Float type of the keys and values kept; None: the type
            they are computed in.
        kernels: How the step computes what backends do in different ways.
        may_overrun: Whether a step may read tokens past a model's last
            position, guesses that will be dropped.
        room: Slots that caches without a window have so far, if they grow up
            to `max_length`; None: all of them.

    Raises:
        ValueError: If a step does not fit the slots (where lengths are known:
            a graph that is fed a state cannot tell), comes with another batch
            size or mask shape than the state, calls another model than the
            step before, or uses a layer that cannot run in steps.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    model = kbm.models.decoder_lm(100, 32, 2, 2, 16)
    token_ids = np.array([[5, 17, 33, 21]])
    scope = kbm.layers.DecodingScope(max_length=8)
    with scope:
        first = model(token_ids[:, :3])
    with scope:
        last = model(token_ids[:, 3:])
    np.allclose(last, model(token_ids)[:, 3:], atol=1e-4)  # True
    ```

    References:
        Shazeer 2019, "Fast Transformer Decoding", section 2.4.1, for the
        incremental form of attention.
    """

    def __init__(
        self,
        max_length: int,
        *,
        state: dict[str, Tensor] | None = None,
        padding_mask: Tensor | None = None,
        cache_dtype: str | None = None,
        kernels: Kernels | None = None,
        may_overrun: bool = False,
        room: int | None = None,
    ) -> None:
        if isinstance(max_length, int) and max_length < 1:
            raise ValueError(
                "`max_length` must be at least 1. "
                f"Received: max_length={max_length}"
            )
        if cache_dtype is not None and "float" not in cache_dtype:
            raise ValueError(
                "`cache_dtype` must be a float type, or None. "
                f"Received: cache_dtype={cache_dtype!r}"
            )
        if padding_mask is not None:
            padding_mask = ops.convert_to_tensor(padding_mask)
            padding_mask = check_mask(padding_mask, "padding_mask", rank=2)
        self.max_length = max_length
        self.room = max_length if room is None else room
        self.cache_dtype = cache_dtype
        self.kernels = kernels or KERAS
        self.may_overrun = may_overrun
        self._state = dict(state or {})
        self._given_mask = padding_mask
        self._most_seen = 0 if not self._state else None
        self._tokens: list[Any] = []
        self._reset_step()

    @staticmethod
    def current() -> "DecodingScope | None":
        """Returns the innermost active scope of this thread, or None."""
        return _ACTIVE.get()

    def __enter__(self) -> "DecodingScope":
        self._tokens.append(_ACTIVE.set(self))
        return self

    def __exit__(self, exception_type: Any, *unused: Any) -> None:
        _ACTIVE.reset(self._tokens.pop())
        try:
            if exception_type is None and self._step_length is not None:
                self._finish_step()
        finally:
            self._reset_step()

    @property
    def state(self) -> dict[str, Tensor]:
        """The state after the last finished step, tensors by name."""
        return dict(self._state)

    @property
    def is_first_step(self) -> bool:
        """Whether this step starts every row at position 0."""
        return LENGTHS not in self._state

    @property
    def has_positions(self) -> bool:
        """Whether this step's length is known: a layer has asked before."""
        return self._step_length is not None

    @property
    def padding_mask(self) -> Tensor | None:
        """Where this step has tokens, (batch, T); None: everywhere."""
        return self._padding_mask

    @property
    def lengths(self) -> Tensor | None:
        """Tokens of each row before this step, (batch,); None: none yet."""
        return self._state.get(LENGTHS)

    @property
    def next_lengths(self) -> Tensor:
        """Tokens of each row after this step, (batch,)."""
        return self._next_lengths

    def observe_padding(self, mask: Tensor | None) -> None:
        """Tells the scope of a mask the model found in its input.

        The mask given to the scope itself, or seen first, stands.
        """
        if self._padding_mask is None and self._step_length is None:
            self._padding_mask = mask

    def positions(self, batch_size: Any, length: Any) -> Tensor:
        """Returns the positions of this step's tokens, (1 or batch, length).

        Padding is counted behind the row's tokens, so that it is invisible to
        them whatever side it stands on.
        """
        if self._step_length is None:
            self._start_step(batch_size, length)
        both = self._step_length, length
        if all(isinstance(x, int) for x in both) and both[0] != both[1]:
            raise ValueError(
                "All sequences in a step stand at the same positions. Call an "
                "encoder outside the scope. Received: sequences of lengths "
                f"{both[0]} and {both[1]}"
            )
        return self._step_positions

    def shared(self, key: Any, compute: Callable[[], Any]) -> Any:
        """Computes something once a step for all layers that ask for it."""
        if key not in self._shared:
            self._shared[key] = compute()
        return self._shared[key]

    def name_for(self, layer: keras.layers.Layer) -> str:
        """Names one use of a layer in a step, the same in every step."""
        path = layer.path or layer.name
        use = self._uses.get(path, 0)
        self._uses[path] = use + 1
        return path if use == 0 else f"{path}:{use}"

    def read(self, name: str, batch_size: Any = None) -> Tensor | None:
        """Returns what was written under `name`, None in the first step."""
        value = self._state.get(name)
        if value is None and not self.is_first_step:
            raise ValueError(
                "A layer asks for a state which earlier steps did not leave. "
                "Run one call of the model in each entry of the scope, and "
                f"the same model each time. Received: name={name!r}, known: "
                f"{sorted(self._state)}"
            )
        if value is not None and batch_size is not None:
            _check_batch(value.shape[0], batch_size, name)
        return value

    def write(self, name: str, value: Tensor) -> None:
        """Leaves a tensor, batch first, for the following steps."""
        self._written[name] = value

    def _start_step(self, batch_size: Any, length: Any) -> None:
        lengths = self.lengths
        if lengths is not None:
            _check_batch(lengths.shape[0], batch_size, LENGTHS)
        self._check_room(length)
        self._check_mask_shape(batch_size, length)
        self._step_length = length
        index = ops.arange(length, dtype="int32")[None, :]
        if self._padding_mask is None:
            counts = ops.full((batch_size,), length, dtype="int32")
            offsets = index
        else:
            visible = ops.cast(self._padding_mask, "int32")
            counts = ops.sum(visible, axis=1)
            ahead = ops.cumsum(visible, axis=1)
            offsets = ops.where(
                self._padding_mask, ahead - 1, counts[:, None] + index - ahead
            )
        if lengths is None:
            self._step_positions = offsets
            self._next_lengths = counts
        else:
            self._step_positions = lengths[:, None] + offsets
            self._next_lengths = lengths + counts

    def _check_room(self, length: Any) -> None:
        if not isinstance(length, int) or not isinstance(self.max_length, int):
            self._most_seen = None
            return
        seen = self._most_seen
        if seen is None or seen + length > self.max_length:
            # A ragged step's padding counts no more once it is over.
            exact = None if self.is_first_step else _maximum(self.lengths)
            seen = seen if exact is None else exact
            self._most_seen = seen
        if (seen or 0) + length > self.max_length:
            raise ValueError(
                f"{length} more tokens after {seen or 0} do not fit the scope. "
                "Make it with a larger `max_length`. Received: "
                f"max_length={self.max_length}"
            )

    def _check_mask_shape(self, batch_size: Any, length: Any) -> None:
        if self._padding_mask is None:
            return
        shape = tuple(self._padding_mask.shape)
        for kept, came in zip(shape, (batch_size, length), strict=True):
            both_known = isinstance(kept, int) and isinstance(came, int)
            if both_known and kept != came:
                raise ValueError(
                    "`padding_mask` must be (batch, sequence), as long as the "
                    f"step: ({batch_size}, {length}). "
                    f"Received: padding_mask.shape={shape}"
                )

    def _finish_step(self) -> None:
        missing = set(self._state) - set(self._written) - {LENGTHS}
        surplus = set(self._written) - set(self._state)
        if not self.is_first_step and (missing or surplus):
            raise ValueError(
                "Every entry of a decoding scope must call the same model "
                "once. Layers without their state in this step: "
                f"{sorted(missing)}; layers not seen in the first step: "
                f"{sorted(surplus)}"
            )
        if self._most_seen is not None:
            self._most_seen += self._step_length
        self._state = {LENGTHS: self._next_lengths, **self._written}
        self._given_mask = None

    def _reset_step(self) -> None:
        self._padding_mask = self._given_mask
        self._step_length: Any = None
        self._step_positions: Tensor = None
        self._next_lengths: Tensor = None
        self._written: dict[str, Tensor] = {}
        self._uses: dict[str, int] = {}
        self._shared: dict[Any, Any] = {}


def current_positions(x: Tensor) -> Tensor:
    """Returns the positions of x's tokens: the active scope's, or 0..T-1.

    Args:
        x: A tensor whose first two axes are batch and sequence.

    Returns:
        int32, (1 or batch, sequence).
    """
    scope = DecodingScope.current()
    if scope is not None and scope.has_positions:
        return scope.positions(*x.shape[:2])
    batch_size, length = ops.shape(x)[:2]
    if scope is not None:
        return scope.positions(batch_size, length)
    return ops.arange(length, dtype="int32")[None, :]


def current_kernels() -> Kernels:
    """Returns the active scope's kernels, Keras's way outside one."""
    scope = DecodingScope.current()
    return KERAS if scope is None else scope.kernels


def shared(key: Any, compute: Callable[[], Any]) -> Any:
    """Computes once a step under a scope, each time outside one."""
    scope = DecodingScope.current()
    return compute() if scope is None else scope.shared(key, compute)


def sizes(x: Tensor) -> tuple[Any, Any]:
    """Returns the batch size and the length of a sequence.

    In a graph that is several operations, done once a step for each sequence.

    Args:
        x: A tensor whose first two axes are batch and sequence.
    """
    # Kept with x, whose identity nothing else has meanwhile.
    return shared(("sizes", id(x)), lambda: (x, ops.shape(x)[:2]))[1]


def _check_batch(kept: Any, came: Any, name: str) -> None:
    both_known = isinstance(kept, int) and isinstance(came, int)
    if both_known and kept != came:
        raise ValueError(
            f"The cache was made for a batch of {kept} rows and is called "
            f"with {came}. Gather the state along its first axis, or start a "
            f"new scope. Received: name={name!r}"
        )


def _maximum(lengths: Tensor) -> int | None:
    """Returns the largest length if it is known now, not only in a graph."""
    try:
        return int(ops.convert_to_numpy(lengths).max())
    except Exception:  # Each backend has its own error for a symbolic tensor.
        return None
