"""Whether a batch of prompts and their answers fits the model and its host."""

import tensorflow as tf

from keras_bigmodel.export.guards import Limits, after, require


def check_room(
    token_ids: tf.Tensor,
    lengths: tf.Tensor,
    num_new: tf.Tensor,
    limits: Limits,
    context: int | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns rows that fit the context and the limits with their new tokens.

    Args:
        token_ids: int32, (B, T).
        lengths: int32, (B,).
        num_new: Tokens to be made, int32 (B,).
        limits: Of the batch as a whole.
        context: Of each row; None: unlimited.
    """
    batch = tf.shape(lengths, tf.int64)[0]
    # Sums of any two lengths fit into 64 bits.
    length, new = tf.cast(lengths, tf.int64), tf.cast(num_new, tf.int64)
    longest, most_new = tf.reduce_max(length), tf.reduce_max(new)
    checks = [
        require(
            batch * (longest + most_new) <= limits.batch_tokens,
            "A batch of ",
            batch,
            " rows of ",
            longest,
            " tokens and ",
            most_new,
            f" new ones is more than the {limits.batch_tokens} tokens that "
            "this model takes in all; send fewer rows",
        )
    ]
    if context is not None:
        row = tf.argmax(length + new)
        checks.append(
            require(
                length[row] + new[row] <= context,
                "A prompt of ",
                length[row],
                " tokens and ",
                new[row],
                " new ones do not fit the context of this model, "
                f"{context} tokens; shorten the prompt",
            )
        )
    return tuple(after(checks, token_ids, lengths))
