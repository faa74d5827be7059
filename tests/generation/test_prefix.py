import pytest

import keras_bigmodel as kbm
from keras_bigmodel.generation import Prefix

PREFIX = [5, 1, 7, 3, 2, 9]
PROMPTS = [[4], [8, 1, 6], [2, 2]]


@pytest.mark.parametrize(
    "options", [{}, {"sliding_window": 3}, {"position_encoding": "learned"}]
)
def test_answers_are_those_of_prefix_and_prompt_together(options):
    model = kbm.models.decoder_lm(11, 32, 2, 2, 8, **options)
    for weight in model.trainable_weights:
        if "embeddings" in weight.path:
            weight.assign(weight * 20.0)
    prefix = Prefix(model, PREFIX, room=12)
    for _ in range(2):
        made = kbm.generate(model, PROMPTS, max_new_tokens=7, prefix=prefix)
        whole = [PREFIX + prompt for prompt in PROMPTS]
        assert made == kbm.generate(model, whole, max_new_tokens=7)


def test_recurrent_models_have_prefixes():
    model = kbm.models.lstm_lm(11, 1, 8)
    for weight in model.trainable_weights:
        weight.assign(weight * 4.0)
    prefix = Prefix(model, PREFIX, room=12)
    pieces = kbm.generate(
        model, PROMPTS, max_new_tokens=9, prefix=prefix, stream=True
    )
    made = [sum(row, []) for row in zip(*pieces, strict=True)]
    whole = [PREFIX + prompt for prompt in PROMPTS]
    assert made == kbm.generate(model, whole, max_new_tokens=9)


def test_bad_input_is_refused():
    model = kbm.models.decoder_lm(11, 16, 1, 1, 4)
    with pytest.raises(ValueError, match="one text. Received: 2"):
        Prefix(model, PROMPTS[:2], room=2)
    with pytest.raises(ValueError, match="do not fit the model's context"):
        Prefix(model, PREFIX, room=11)
    prefix = Prefix(model, PREFIX, room=4)
    with pytest.raises(ValueError, match="Received: room=4"):
        kbm.generate(model, [1, 2], max_new_tokens=3, prefix=prefix)
    other = kbm.models.decoder_lm(11, 16, 1, 1, 4)
    with pytest.raises(ValueError, match="goes with the model"):
        kbm.generate(other, [1], max_new_tokens=3, prefix=prefix)
    seq2seq = kbm.models.encoder_decoder(11, 11, 16, 1, 1, 4)
    with pytest.raises(ValueError, match="reads a source too"):
        Prefix(seq2seq, PREFIX)
