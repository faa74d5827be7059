import keras
import numpy as np
import pytest
from keras import ops

import keras_bigmodel as kbm

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="the Keras backend is not JAX"
)


@pytest.mark.parametrize(("shape", "rows"), [((1, 1), 8), ((3, 4), 12)])
def test_rows_are_added_and_taken_off(shape, rows):
    from keras_bigmodel.generation.jax_kernels import JaxKernels

    x = ops.reshape(ops.arange(5.0 * np.prod(shape)), (*shape, 5))
    folded = JaxKernels().fold(x)
    assert folded.shape == (rows, 5)
    found = JaxKernels().unfold(folded, x)
    np.testing.assert_array_equal(found, ops.reshape(x, (-1, 5)))


def test_gpus_multiply_rows_enough_and_say_the_same(monkeypatch):
    from keras_bigmodel.generation.jax_kernels import JaxKernels
    from keras_bigmodel.layers import dot_product

    model = kbm.models.decoder_lm(19, 64, 2, 2, 8)
    prompts = [[[1, 2, 3]], [[1, 2, 3], [4]], [[5]] * 9]
    plain = [kbm.generate(model, ids, max_new_tokens=6) for ids in prompts]
    counts, original = set(), JaxKernels.project

    def project(self, layer, x, *rest):
        counts.add(x.shape[0])
        return original(self, layer, x, *rest)

    monkeypatch.setattr(JaxKernels, "project", project)
    monkeypatch.setattr(dot_product, "accelerator", lambda: "gpu")
    model.__dict__.pop("_keras_bigmodel_programs")
    on_gpu = [kbm.generate(model, ids, max_new_tokens=6) for ids in prompts]
    assert on_gpu == plain
    assert min(counts) == 8 and 9 in counts
