"""Between a checkpoint's tensors and the weights of our layers.

A transform takes one or more of their tensors to one or more of ours, and
back. It also says what shapes theirs must have, so that a checkpoint is
checked before anything is read.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

Arrays = Sequence[np.ndarray]
Shape = tuple[int, ...]


class Same:
    """One tensor, as it is."""

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns our weights, of these shapes."""
        return list(theirs)

    def to_theirs(self, ours: Arrays) -> list:
        """Returns their tensors."""
        return list(ours)

    def their_shapes(self, ours: Sequence[Shape]) -> list[Shape]:
        """Returns the shapes of their tensors for shapes of ours."""
        return list(ours)


class Transposed(Same):
    """A linear layer's weight, (outputs, inputs) there and reversed here."""

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns the kernel."""
        return [theirs[0].T]

    def to_theirs(self, ours: Arrays) -> list:
        """Returns the weight."""
        return [ours[0].T]

    def their_shapes(self, ours: Sequence[Shape]) -> list[Shape]:
        """Returns the reversed shape."""
        return [ours[0][::-1]]


@dataclasses.dataclass(frozen=True)
class Joined(Same):
    """Several of our weights side by side in one tensor of theirs.

    Args:
        transposed: Whether they keep (outputs, inputs).
    """

    transposed: bool = False

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns the parts."""
        whole = theirs[0].T if self.transposed else theirs[0]
        ends = np.cumsum([shape[-1] for shape in shapes])
        return np.split(whole, ends[:-1], axis=-1)

    def to_theirs(self, ours: Arrays) -> list:
        """Returns the parts put together."""
        whole = np.concatenate(ours, axis=-1)
        return [whole.T if self.transposed else whole]

    def their_shapes(self, ours: Sequence[Shape]) -> list[Shape]:
        """Returns the shape of the whole."""
        shape = (*ours[0][:-1], sum(part[-1] for part in ours))
        return [shape[::-1] if self.transposed else shape]


@dataclasses.dataclass(frozen=True)
class JoinedByHead(Same):
    """Queries, keys and values of one head after those of another.

    Args:
        num_heads: Number of heads.
    """

    num_heads: int

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns kernels (inputs, heads * features), or biases."""
        whole = theirs[0].T
        by_head = (*whole.shape[:-1], self.num_heads, 3, -1)
        parts = np.split(whole.reshape(by_head), 3, axis=-2)
        return [
            part.reshape(shape)
            for part, shape in zip(parts, shapes, strict=True)
        ]

    def to_theirs(self, ours: Arrays) -> list:
        """Returns the parts put together."""
        by_head = (*ours[0].shape[:-1], self.num_heads, 1, -1)
        whole = np.concatenate([part.reshape(by_head) for part in ours], -2)
        return [whole.reshape((*ours[0].shape[:-1], -1)).T]

    def their_shapes(self, ours: Sequence[Shape]) -> list[Shape]:
        """Returns the shape of the whole."""
        return [(3 * ours[0][-1], *ours[0][:-1])]


class PlusOne(Same):
    """A scale kept as its difference from 1."""

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns the scale."""
        return [theirs[0].astype("float32") + 1]

    def to_theirs(self, ours: Arrays) -> list:
        """Returns the difference."""
        return [(ours[0].astype("float32") - 1).astype(ours[0].dtype)]


@dataclasses.dataclass(frozen=True)
class ByHead(Same):
    """A vector there, a matrix (heads, features) here."""

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns the matrix."""
        return [theirs[0].reshape(shapes[0])]

    def to_theirs(self, ours: Arrays) -> list:
        """Returns the vector."""
        return [ours[0].reshape(-1)]

    def their_shapes(self, ours: Sequence[Shape]) -> list[Shape]:
        """Returns the vector's shape."""
        return [(int(np.prod(ours[0])),)]


class Summed(Same):
    """Two tables there of which all texts use the sum; the second's one row.

    RoBERTa has a single kind of segment, whose vector every token gets.
    """

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns the first table with the row added to each of its own."""
        return [theirs[0].astype("float32") + theirs[1].astype("float32")]

    def to_theirs(self, ours: Arrays) -> list:
        """Returns the table, and a row of zeros."""
        return [ours[0], np.zeros_like(ours[0][:1])]

    def their_shapes(self, ours: Sequence[Shape]) -> list[Shape]:
        """Returns the shapes of the table and of the row."""
        return [ours[0], (1, *ours[0][1:])]


class InOneBatch(Same):
    """A tensor that has a first axis of 1 there and not here."""

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns the tensor without the axis."""
        return [theirs[0].reshape(shapes[0])]

    def to_theirs(self, ours: Arrays) -> list:
        """Returns the tensor with the axis."""
        return [ours[0][None]]

    def their_shapes(self, ours: Sequence[Shape]) -> list[Shape]:
        """Returns the shape with the axis."""
        return [(1, *ours[0])]


@dataclasses.dataclass(frozen=True)
class Scaled(Same):
    """A tensor times a factor which they apply later.

    Args:
        factor: The factor.
    """

    factor: float

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns the product."""
        return [theirs[0].astype("float32") * np.float32(self.factor)]

    def to_theirs(self, ours: Arrays) -> list:
        """Returns the quotient."""
        quotient = ours[0].astype("float32") / np.float32(self.factor)
        return [quotient.astype(ours[0].dtype)]


class Filters(Same):
    """A convolution's, (outputs, inputs, height, width) there."""

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns (height, width, inputs, outputs)."""
        return [theirs[0].transpose(2, 3, 1, 0)]

    def to_theirs(self, ours: Arrays) -> list:
        """Returns (outputs, inputs, height, width)."""
        return [ours[0].transpose(3, 2, 0, 1)]

    def their_shapes(self, ours: Sequence[Shape]) -> list[Shape]:
        """Returns the shape so ordered."""
        height, width, inputs, outputs = ours[0]
        return [(outputs, inputs, height, width)]


class Stacked(Same):
    """A transposed weight for each expert there, one stack of them here."""

    def to_ours(self, theirs: Arrays, shapes: Sequence[Shape]) -> list:
        """Returns the stack, (experts, inputs, outputs)."""
        return [np.stack([weight.T for weight in theirs])]

    def to_theirs(self, ours: Arrays) -> list:
        """Returns the weights."""
        return [kernel.T for kernel in ours[0]]

    def their_shapes(self, ours: Sequence[Shape]) -> list[Shape]:
        """Returns the shape of each."""
        return [ours[0][:0:-1]] * ours[0][0]


SAME, TRANSPOSED, PLUS_ONE, BY_HEAD = (
    Same(),
    Transposed(),
    PlusOne(),
    ByHead(),
)
JOINED, JOINED_TRANSPOSED, STACKED = Joined(), Joined(True), Stacked()
SUMMED, IN_ONE_BATCH, FILTERS = Summed(), InOneBatch(), Filters()
