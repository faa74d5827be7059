"""Attention masks as pure functions: True means visible.

Every mask broadcasts against scores of shape (B, H, T, S): batch, heads,
query positions, key positions.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

Tensor = Any

# The position of a slot that holds no key: later than any query.
NO_KEY = 2**30


def causal_mask(query_positions: Tensor, key_positions: Tensor) -> Tensor:
    """Lets a query see the keys at its own and at earlier positions.

    Args:
        query_positions: Integer positions, (1 or B, T).
        key_positions: Integer positions, (1 or B, S); `NO_KEY` where there is
            no key.

    Returns:
        Booleans, (1 or B, 1, T, S).
    """
    query, key = _broadcast_positions(query_positions, key_positions)
    return key <= query


def sliding_window_mask(
    query_positions: Tensor,
    key_positions: Tensor,
    window: int,
    causal: bool = True,
) -> Tensor:
    """Lets a query see keys less than `window` positions away.

    A causal window of 1 is the query's own position alone.

    Args:
        query_positions: Integer positions, (1 or B, T).
        key_positions: Integer positions, (1 or B, S).
        window: Number of positions a query looks back on, itself included.
        causal: Whether the other mask in use hides later keys; otherwise the
            window reaches as far ahead as back.

    Returns:
        Booleans, (1 or B, 1, T, S).

    References:
        Beltagy et al. 2020, "Longformer", section 3.1; Jiang et al. 2023,
        "Mistral 7B", section 2.
    """
    query, key = _broadcast_positions(query_positions, key_positions)
    distance = query - key
    return distance < window if causal else ops.abs(distance) < window


def padding_mask_to_attention(padding_mask: Tensor) -> Tensor:
    """Hides padded keys from every query.

    Args:
        padding_mask: Booleans, (B, S); True where there is a token.

    Returns:
        Booleans, (B, 1, 1, S).
    """
    return padding_mask[:, None, None, :]


def segment_mask(
    query_segments: Tensor, key_segments: Tensor | None = None
) -> Tensor:
    """Keeps documents that share a row from seeing each other.

    Args:
        query_segments: Integer document numbers, (B, T).
        key_segments: The same for the keys, (B, S); default: the queries'.

    Returns:
        Booleans, (B, 1, T, S).

    References:
        Krell et al. 2021, "Efficient Sequence Packing without
        Cross-contamination", section 3.2.
    """
    if key_segments is None:
        key_segments = query_segments
    query, key = _broadcast_positions(query_segments, key_segments)
    return query == key


def segment_positions(segment_ids: Tensor) -> Tensor:
    """Positions that start again at 0 with every document of a packed row.

    Args:
        segment_ids: Integer document numbers, (B, T), equal within a document
            and different between neighbours.

    Returns:
        int32 positions, (B, T).
    """
    index = ops.arange(ops.shape(segment_ids)[1], dtype="int32")[None, :]
    first = ops.ones_like(segment_ids[:, :1], dtype="bool")
    starts = ops.concatenate(
        [first, segment_ids[:, 1:] != segment_ids[:, :-1]], axis=1
    )
    start_of = ops.associative_scan(
        ops.maximum, ops.where(starts, index, 0), axis=1
    )
    return index - start_of


def attention_mask_to_scores(attention_mask: Tensor) -> Tensor:
    """Gives a caller's mask the rank of the scores.

    Args:
        attention_mask: Booleans, (B, T, S) or (B, H, T, S), any of B and H
            may be 1.

    Returns:
        Booleans, (B, 1 or H, T, S).

    Raises:
        ValueError: If the rank is neither 3 nor 4.
    """
    rank = len(attention_mask.shape)
    if rank not in (3, 4):
        raise ValueError(
            "`attention_mask` must have the shape (batch, query, key) or "
            "(batch, heads, query, key). "
            f"Received: attention_mask.shape={tuple(attention_mask.shape)}"
        )
    return attention_mask if rank == 4 else attention_mask[:, None, :, :]


def combine_masks(*masks: Tensor | None) -> Tensor | None:
    """Lets through what every given mask lets through; None hides nothing."""
    combined = None
    for mask in masks:
        if mask is None:
            continue
        combined = mask if combined is None else ops.logical_and(combined, mask)
    return combined


def check_mask(mask: Tensor, name: str, rank: int | None = None) -> Tensor:
    """Returns a caller's mask as booleans, or says why it cannot.

    Args:
        mask: Booleans or integers, True or nonzero where visible.
        name: The argument's name, for the message.
        rank: The rank it must have; None accepts any.

    Raises:
        ValueError: If the rank differs or the mask holds floating point
            numbers, whose meaning (1 for visible, or 0 to be added to the
            scores) would have to be guessed.
    """
    if rank is not None and len(mask.shape) != rank:
        raise ValueError(
            f"`{name}` must have rank {rank}: (batch, sequence). "
            f"Received: {name}.shape={tuple(mask.shape)}"
        )
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if "float" in dtype:
        raise ValueError(
            f"`{name}` must be boolean, True where visible; compare it with 0 "
            f"first if 0 hides. Received: {name}.dtype={dtype}"
        )
    return ops.cast(mask, "bool")


def combined_padding(
    padding_mask: Tensor | None, keras_mask: Tensor | None
) -> Tensor | None:
    """Joins a caller's padding mask with the one that Keras handed over.

    Args:
        padding_mask: Booleans, (B, S), or None.
        keras_mask: The same, from the layers before.

    Raises:
        ValueError: If `padding_mask` is not boolean or not of rank 2.
    """
    if padding_mask is not None:
        padding_mask = check_mask(padding_mask, "padding_mask", rank=2)
    return combine_masks(padding_mask, keras_mask)


def _broadcast_positions(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    return query[:, None, :, None], key[:, None, None, :]


@dataclasses.dataclass(frozen=True)
class Visibility:
    """Which keys each query may see, kept in parts until it is needed.

    A mask for every pair of positions grows with the square of the sequence;
    its parts do not. `mask` puts them together, for all queries or for a
    block of them.

    Args:
        query_positions: Integers, (1 or B, T).
        key_positions: Integers, (1 or B, S); `NO_KEY` where there is no key.
        causal: Whether later keys are hidden.
        window: Sliding window, or None.
        padding_mask: Booleans over the keys, (B, S), or None.
        query_segments: Document numbers, (B, T), or None.
        key_segments: Document numbers, (B, S), or None.
        attention_mask: Booleans, (B, 1 or H, T, S), or None.
    """

    query_positions: Tensor
    key_positions: Tensor
    causal: bool = False
    window: int | None = None
    padding_mask: Tensor | None = None
    query_segments: Tensor | None = None
    key_segments: Tensor | None = None
    attention_mask: Tensor | None = None

    @property
    def may_hide_everything(self) -> bool:
        """Whether some query could be left with no key at all."""
        return any(
            part is not None
            for part in (self.padding_mask, self.attention_mask)
        )

    @property
    def hides_later_keys_alone(self) -> bool:
        """Whether nothing but `causal`, if anything, hides keys."""
        others = (
            self.window,
            self.padding_mask,
            self.query_segments,
            self.attention_mask,
        )
        return all(part is None for part in others)

    def part_ids(self) -> tuple[int, ...]:
        """Returns numbers that tell what it is made of while that lives."""
        fields = dataclasses.fields(self)
        return tuple(id(getattr(self, field.name)) for field in fields)

    def mask(self, without_causal: bool = False) -> Tensor | None:
        """Returns the mask, (1 or B, 1 or H, T, S), or None for no mask.

        Args:
            without_causal: Whether to leave out what `causal` hides.
        """
        positions = (self.query_positions, self.key_positions)
        causal = self.causal and not without_causal
        return combine_masks(
            causal_mask(*positions) if causal else None,
            None
            if self.window is None
            else sliding_window_mask(*positions, self.window, self.causal),
            None
            if self.padding_mask is None
            else padding_mask_to_attention(self.padding_mask),
            None
            if self.query_segments is None
            else segment_mask(self.query_segments, self.key_segments),
            self.attention_mask,
        )
