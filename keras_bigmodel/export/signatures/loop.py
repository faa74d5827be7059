"""How a decoding loop is compiled, and what its hosts are like."""

import dataclasses
import functools

import tensorflow as tf

from keras_bigmodel.generation.step_rows import ANY_ROWS
from keras_bigmodel.generation.tensorflow_blocks import BlockStore
from keras_bigmodel.generation.tensorflow_kernels import StepKernels
from keras_bigmodel.generation.tensorflow_parts import part_bytes


@dataclasses.dataclass(frozen=True)
class Loop:
    """What is chosen for the decoding loop of an export.

    Products are cut into parts for the caches of this machine's cores; it runs
    on others too, where these are smaller more slowly.

    Args:
        jit_compile: Whether XLA compiles it, anew for each shape.
        pack_weights: Whether steps of several rows run on copies of the
            weights, packed for an x86-64 CPU when they first run.
        cores: Of its hosts, that parts of products stand in line for; None:
            any number.

    Raises:
        ValueError: If there are no cores.
    """

    jit_compile: bool = False
    pack_weights: bool = False
    cores: int | None = None

    def __post_init__(self) -> None:
        if self.cores is not None and self.cores < 1:
            raise ValueError(
                "`cores` must be positive, or None for any number. "
                f"Received: cores={self.cores}"
            )

    def blocks(self) -> BlockStore:
        """Returns a store of blocks, which a folder has instead of kernels."""
        keep = functools.partial(tf.Variable, trainable=False)
        return BlockStore(part_bytes(), keep, keep, replace_kernels=True)

    def kernels(
        self, blocks: BlockStore, rows: tuple[int, float] = ANY_ROWS
    ) -> StepKernels | None:
        """Returns how steps compute; None: in Keras's way, which XLA knows.

        Args:
            blocks: Of the model's weights.
            rows: The least and the most rows that a step has.
        """
        if self.jit_compile:
            return None
        return StepKernels(
            self.pack_weights, rows, part_bytes(), self.cores, blocks
        )


ANY_HOST = Loop()
