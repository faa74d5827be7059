import keras
import numpy as np
import pytest

import keras_bigmodel as kbm

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="the Keras backend is not JAX"
)


def test_sizes_are_rounded_up_to_a_few():
    from keras_bigmodel.generation.jax_program import round_up

    sizes = [round_up(size) for size in range(1, 130)]
    assert sorted(set(sizes)) == [16, 24, 32, 48, 64, 96, 128, 192]
    assert all(size <= up for size, up in enumerate(sizes, 1))


def test_new_weights_are_seen_and_few_programs_compiled():
    model = kbm.models.decoder_lm(19, 64, 1, 1, 4)
    first = kbm.generate(model, [[1, 2], [3]], max_new_tokens=3)
    for length in (4, 9, 16):
        kbm.generate(model, [[1] * length] * 2, max_new_tokens=length)
    (program,) = model.__dict__["_keras_bigmodel_programs"].values()
    assert program.num_traces == 1
    embedding = model.layers[1].embeddings
    embedding.assign(embedding[::-1] * 30.0)
    assert kbm.generate(model, [[1, 2], [3]], max_new_tokens=3) != first
    assert np.shape(first) == (2, 3)
