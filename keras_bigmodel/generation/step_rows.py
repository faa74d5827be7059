"""How many rows steps multiply, and from how many on another way is better."""

import math

# The least and the most rows of a step that may have any number.
ANY_ROWS = 1, math.inf
# From so many on it pays to pack weights, and to cut a table of tokens.
SEVERAL_ROWS = 4
# oneDNN packs weights in one way for fewer rows, in another from so many on.
BLOCK_ROWS = 8
# With more than so many a core has enough to do with its share of a product.
MOST_ROWS = 64

_FIRST_ROWS = ANY_ROWS[0], SEVERAL_ROWS, BLOCK_ROWS, MOST_ROWS + 1


def rows_alike(num_rows: int) -> tuple[int, float]:
    """Returns the least and the most rows of steps computed in the same way.

    Args:
        num_rows: Rows of one of them.
    """
    least = max(first for first in _FIRST_ROWS if first <= num_rows)
    behind = [first - 1 for first in _FIRST_ROWS if first > num_rows]
    return least, min(behind, default=math.inf)
