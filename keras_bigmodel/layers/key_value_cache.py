"""Keys and values that attention layers keep between decoding steps.

A cache is (B, K, slots, D): heads before slots, so that a head's keys lie side
by side and a step multiplies them where they are. Without a window the token
at position p is in slot p; with one, the slots are a ring and it is in slot
p mod slots.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_bigmodel.layers.decoding import DecodingScope, current_kernels
from keras_bigmodel.layers.masks import NO_KEY, Visibility

Tensor = Any

# How names of caches end in a state: of those that grow; with a window their
# slots stay as many, and what is recalled is never written again.
GROWING = ("/key", "/value")
WRITTEN = (*GROWING, "/key_window", "/value_window")


def heads_first(x: Tensor) -> Tensor:
    """Turns (B, T, K, D) into (B, K, T, D)."""
    heads, dim = x.shape[2:]
    if x.shape[1] == 1:
        return ops.reshape(x, (-1, heads, 1, dim))
    return current_kernels().transpose(x, (0, 2, 1, 3))


def append(
    scope: DecodingScope,
    name: str,
    key: Tensor,
    value: Tensor,
    visibility: Visibility,
) -> tuple[Tensor, Tensor, Visibility]:
    """Appends a step's keys and values, and returns all that it may see.

    Args:
        scope: The active scope.
        name: Name of the layer's use.
        key: The step's keys, (B, K, T, D).
        value: The step's values, (B, K, T, D).
        visibility: Among the step's own tokens. Its padding mask is dropped:
            padding stands behind a row's tokens, and is not causally visible.

    Returns:
        Keys and values, (B, K, S, D), and the visibility over them.
    """
    heads, dim = key.shape[1], key.shape[3]
    window, slots, suffix = visibility.window, scope.room, ""
    if window is not None:
        slots, suffix = scope.max_length, "_window"
        both_known = isinstance(slots, int)
        slots = min(window, slots) if both_known else ops.minimum(window, slots)
    rolls = window is not None and key.shape[2] != 1
    seen = []
    for part, x in (("key", key), ("value", value)):
        part = f"{name}/{part}{suffix}"
        old = scope.read(part, key.shape[0])
        kept = ops.cast(x, scope.cache_dtype or x.dtype)
        if old is None:
            batch = scope.shared("batch", lambda: ops.shape(key)[0])
            shape = batch, heads, slots, dim
            old = ops.zeros(shape, kept.dtype) if rolls else shape
        new = (_roll if rolls else _put)(scope, old, kept, slots, window)
        scope.write(part, new)
        if scope.is_first_step:
            seen.append(x)
        elif rolls:
            both = [ops.cast(old, x.dtype), x]
            seen.append(ops.concatenate(both, axis=2))
        else:
            seen.append(ops.cast(new, x.dtype))
    key_positions = scope.shared(
        ("key positions", window),
        lambda: _positions(scope, visibility, slots, rolls),
    )
    return *seen, dataclasses.replace(
        visibility, key_positions=key_positions, padding_mask=None
    )


def recall(
    scope: DecodingScope,
    name: str,
    batch_size: Any,
    compute: Callable[[], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Returns keys and values that stay the same, computed in the first step.

    Args:
        scope: The active scope.
        name: Name of the layer's use.
        batch_size: Rows of this step.
        compute: Gives the keys and values, (B, K, S, D).
    """
    names = f"{name}/key_context", f"{name}/value_context"
    key, value = (scope.read(part, batch_size) for part in names)
    if key is None:
        key, value = compute()
    for part, x in zip(names, (key, value), strict=True):
        scope.write(part, ops.cast(x, scope.cache_dtype or x.dtype))
    return key, value


def grown(state: dict[str, Tensor], room: Any) -> dict[str, Tensor]:
    """Returns a state whose growing caches have more slots, if need be.

    Args:
        state: A scope's state.
        room: Slots they shall have, no fewer than they have.
    """
    growing = _growing(state)
    if not growing:
        return state
    slots = num_slots(state)

    def longer() -> list[Tensor]:
        batch, empty, found = _num_rows(growing), {}, []
        for cache in growing.values():
            heads, dim = cache.shape[1], cache.shape[3]
            kind = heads, dim, cache.dtype
            if kind not in empty:
                shape = batch, heads, room - slots, dim
                empty[kind] = ops.zeros(shape, cache.dtype)
            found.append(ops.concatenate([cache, empty[kind]], axis=2))
        return found

    caches = ops.cond(room > slots, longer, lambda: list(growing.values()))
    return {**state, **dict(zip(growing, caches, strict=True))}


def num_slots(state: dict[str, Tensor]) -> Tensor:
    """Returns how many slots growing caches have, 0 if there are none."""
    return next((ops.shape(x)[2] for x in _growing(state).values()), 0)


def slot_size(state: dict[str, Tensor]) -> Tensor:
    """Returns how many numbers a slot of all growing caches holds, a float."""
    growing = _growing(state)
    numbers = sum(float(x.shape[1] * x.shape[3]) for x in growing.values())
    return numbers * ops.cast(_num_rows(growing), "float32")


def _num_rows(caches: dict[str, Tensor]) -> Any:
    """Returns the batch size, which all caches share."""
    return next((ops.shape(x)[0] for x in caches.values()), 0)


def _growing(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: x for name, x in state.items() if name.endswith(GROWING)}


def _positions(scope, visibility, slots, rolls):
    """Returns the positions of what `append` lets a step see."""
    own = visibility.key_positions
    if scope.is_first_step:
        return own
    if visibility.window is None:
        return ops.arange(slots, dtype="int32")[None, :]
    if rolls:
        before = _ring_positions(scope.lengths - 1, slots)
        return ops.concatenate([before, own], axis=1)
    return _ring_positions(own[:, 0], slots)


def _ring_positions(last, slots):
    """Positions in the slots of a ring whose newest token is at `last`."""
    last = last[:, None]
    slot = ops.arange(slots, dtype="int32")[None, :]
    positions = last - ops.mod(last - slot, slots)
    return ops.where(positions < 0, NO_KEY, positions)


def _put(scope, cache, x, slots, window):
    """Writes each token of x, (B, K, T, D), into its slot.

    A cache that is not there yet is told by its shape.
    """

    def places():
        positions = scope.positions(ops.shape(x)[0], ops.shape(x)[2])
        # Without a window nothing wraps: a token too many is an error.
        return positions if window is None else ops.mod(positions, slots)

    where = scope.shared(("slots", window), places)
    new = isinstance(cache, tuple)
    write = scope.kernels.write_new if new else scope.kernels.write
    return write(scope, cache, where, x)


def _roll(scope, ring, x, slots, window):
    """Writes the last tokens of x, (B, K, T, D), into a ring of slots."""
    batch, heads, length, dim = ops.shape(x)

    def rows():
        # The token that slot s holds after the step is in x if its position
        # is one of the step's, and still in slot s otherwise.
        held = _ring_positions(scope.next_lengths - 1, slots)
        before = scope.lengths
        before = (
            ops.zeros_like(held[:, :1]) if before is None else before[:, None]
        )
        from_step = ops.logical_and(held >= before, held < NO_KEY)
        order = ops.clip(held - before, 0, length - 1)
        if scope.padding_mask is not None:
            by_position = ops.argsort(scope.positions(batch, length), axis=1)
            order = ops.take_along_axis(
                ops.cast(by_position, "int32"), order, axis=1
            )
        slot = ops.arange(slots, dtype="int32")[None, :]
        source = ops.where(from_step, slots + order, slot)
        first = ops.arange(batch * heads, dtype="int32") * (slots + length)
        first = ops.reshape(first, (batch, heads, 1))
        return first + source[:, None, :]

    where = scope.shared(("ring", heads, window), rows)
    both = ops.concatenate([ring, x], axis=2)
    return ops.take(ops.reshape(both, (-1, dim)), where, axis=0)
