import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.signatures.batching import WholeTexts


@pytest.mark.parametrize("pad_id", [None, 0])
def test_padding_changes_nothing(pad_id):
    model = kbm.models.encoder(13, 7, 1, 2, 8, pad_id=pad_id)
    run = WholeTexts(model, None, Limits())
    token_ids = tf.constant([[1, 2, 3], [4, 9, 9]])
    hidden = tf.function(run)(token_ids, tf.constant([3, 1])).numpy()
    np.testing.assert_allclose(hidden[0], run.in_memory([1, 2, 3]), atol=1e-5)
    np.testing.assert_allclose(hidden[1, :1], run.in_memory([4]), atol=1e-5)


def test_texts_fit_the_context():
    run = WholeTexts(kbm.models.encoder(13, 7, 1, 2, 8), None, Limits())
    with pytest.raises(tf.errors.InvalidArgumentError, match="7 tokens"):
        run(tf.ones([1, 8], tf.int32), tf.constant([8]))
