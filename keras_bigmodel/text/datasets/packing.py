"""Several documents in one row, by best fit."""

from collections.abc import Iterable, Iterator

import numpy as np

OPEN_ROWS = 64

PackedRow = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


def pack(
    chunks: Iterable[np.ndarray], length: int, pad_id: int
) -> Iterator[PackedRow]:
    """Packs chunks of tokens into rows of `length` positions.

    A chunk of n tokens takes n - 1 positions: what is read is all but its
    last token, what is predicted all but its first. It goes into that open
    row where it leaves the least room; where there is none, into a new one.

    Args:
        chunks: Arrays of at most `length + 1` token ids; one token alone
            predicts nothing and is left out.
        length: Positions in a row.
        pad_id: What fills the rest of a row, with segment 0 and weight 0.

    Yields:
        `({"token_ids", "segment_ids"}, next_ids, sample_weight)`.
    """
    rows: list[list[np.ndarray]] = []
    rooms: list[int] = []
    for chunk in chunks:
        needed = len(chunk) - 1
        if not needed:
            continue
        fitting = [room for room in rooms if room >= needed]
        if fitting:
            index = rooms.index(min(fitting))
        else:
            if len(rows) == OPEN_ROWS:
                fullest = rooms.index(min(rooms))
                rooms.pop(fullest)
                yield _row(rows.pop(fullest), length, pad_id)
            index = len(rows)
            rows.append([])
            rooms.append(length)
        rows[index].append(chunk)
        rooms[index] -= needed
    for row in rows:
        yield _row(row, length, pad_id)


def _row(chunks: list[np.ndarray], length: int, pad_id: int) -> PackedRow:
    token_ids = np.full(length, pad_id, np.int32)
    next_ids = np.full(length, pad_id, np.int32)
    segment_ids = np.zeros(length, np.int32)
    start = 0
    for number, chunk in enumerate(chunks, start=1):
        place = slice(start, start + len(chunk) - 1)
        token_ids[place], next_ids[place] = chunk[:-1], chunk[1:]
        segment_ids[place] = number
        start = place.stop
    weights = (segment_ids > 0).astype(np.float32)
    inputs = {"token_ids": token_ids, "segment_ids": segment_ids}
    return inputs, next_ids, weights
