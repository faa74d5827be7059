import pytest
import tensorflow as tf

from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.signatures.room import check_room


def check(lengths, num_new, context=11):
    lengths = tf.constant(lengths)
    token_ids = tf.zeros([lengths.shape[0], 3], tf.int32)
    limits = Limits(batch_tokens=26)
    return check_room(token_ids, lengths, tf.constant(num_new), limits, context)


def test_what_fits_passes():
    _, lengths = check([3, 1], [8, 10])
    assert lengths.numpy().tolist() == [3, 1]
    check([20], [6], context=None)


@pytest.mark.parametrize(
    ("lengths", "num_new", "context", "message"),
    [
        ([1, 3, 2], [1, 6, 2], 11, "3 rows of 3 tokens and 6 new .* the 26"),
        ([1, 2], [1, 10], 11, "prompt of 2 tokens and 10 new .* 11 tokens"),
        ([20], [7], None, "more than the 26 tokens"),
        ([2**30] * 2, [2**30] * 2, None, "A batch of 2 rows"),
    ],
)
def test_what_does_not_fit_is_refused(lengths, num_new, context, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        check(lengths, num_new, context)
