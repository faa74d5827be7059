import pytest

import keras_bigmodel as kbm
from tests.export.signatures.helpers import check_examples, serve


@pytest.mark.parametrize("options", [{}, {"pooler": True}, {"pad_id": 256}])
def test_the_embedding_is_the_mean(options):
    model = kbm.models.encoder(259, 31, 1, 2, 8, **options)
    traced, signatures = serve(model, kbm.text.ByteTokenizer())
    check_examples(traced, signatures)
    assert set(traced) == {"serving_default", "embed"}
