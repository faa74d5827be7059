import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.generation import packing

pytestmark = pytest.mark.tensorflow
PROMPTS = [[3, 1, 4, 1, 5, 9, 2, 6], [5], [3, 5, 8]]


@pytest.fixture(autouse=True)
def kernel():
    from keras_bigmodel.generation import tensorflow_packing

    if not tensorflow_packing.is_available():
        pytest.skip("this TensorFlow has no packed products")
    return tensorflow_packing.KERNEL


def peaked(model):
    """Makes the model sure of what it says: rounding changes nothing."""
    for weight in model.trainable_weights:
        if "embeddings" in weight.path:
            weight.assign(weight * 20.0)
    return model


def operations(model):
    """The operations of all graphs that the model's programs traced."""
    found = []
    for program in model.__dict__["_keras_bigmodel_programs"].values():
        for function in program._functions.values():
            graph = function.get_concrete_function().graph.as_graph_def()
            nodes = [*graph.node]
            for inner in graph.library.function:
                nodes += inner.node_def
            found += [node.op for node in nodes]
    return found


def both(model, prompts=PROMPTS, **options):
    options = {"max_new_tokens": 11, **options}
    plain = kbm.generate(model, prompts, pack_weights=False, **options)
    return plain, kbm.generate(model, prompts, pack_weights=True, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "gelu_tanh", "position_encoding": "learned"},
        {"activation": "gelu"},
        {"activation": "relu", "tie_embeddings": False},
        {"activation": "silu", "gated": True, "use_bias": False},
        {"activation": "gelu", "gated": True, "num_key_value_heads": 1},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_packed_weights_change_no_answer(options, kernel):
    model = peaked(kbm.models.decoder_lm(31, 32, 2, 2, 16, **options))
    plain, packed = both(model, PROMPTS * 2)
    assert plain == packed
    # Four projections, two or three layers behind them, and the logits.
    per_block = 4 + (3 if options.get("gated") else 2)
    assert operations(model).count(kernel) == 2 * per_block + 1
    alone = [
        kbm.generate(model, prompt, max_new_tokens=11, pack_weights=True)
        for prompt in PROMPTS
    ]
    assert alone * 2 == packed


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 30])
def test_log_probabilities_for_any_number_of_rows(rows):
    model = peaked(kbm.models.decoder_lm(31, 32, 2, 2, 16))
    prompts = np.arange(2 * rows).reshape(rows, 2) % 31
    plain, packed = both(model, prompts.tolist(), details=True)
    for a, b in zip(plain, packed, strict=True):
        assert a.token_ids == b.token_ids
        np.testing.assert_allclose(
            a.log_probabilities, b.log_probabilities, atol=1e-4
        )


@pytest.mark.parametrize(
    "sampler",
    [
        kbm.samplers.Beam(num_beams=3),
        kbm.samplers.PromptLookup(num_guesses=3),
        kbm.samplers.Sample(temperature=0.3, repetition_penalty=1.1),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_every_program_takes_them(sampler):
    model = peaked(kbm.models.decoder_lm(31, 32, 2, 2, 16))
    plain, packed = both(model, sampler=sampler, seed=[1, 2, 3])
    assert plain == packed


def test_streams_prefixes_and_drafts_take_them():
    model = peaked(kbm.models.decoder_lm(31, 32, 2, 2, 16))
    draft = kbm.models.decoder_lm(31, 32, 1, 1, 8)
    plain, _ = both(model)
    pieces = kbm.generate(
        model, PROMPTS, max_new_tokens=11, pack_weights=True, stream=True
    )
    assert [sum(row, []) for row in zip(*pieces, strict=True)] == plain
    guessed = both(
        model, sampler=kbm.samplers.Speculative(draft, num_guesses=2)
    )
    assert guessed == (plain, plain)
    prefix = kbm.generation.Prefix(model, [1, 2], room=24)
    rest = both(model, prefix=prefix)
    assert rest[0] == rest[1]


def test_encoder_decoders_take_them(kernel):
    model = kbm.models.encoder_decoder(31, 31, 16, 1, 2, 16, pad_id=0)
    plain, packed = both(model, PROMPTS * 2, start_id=1)
    assert plain == packed and kernel in operations(model)


def test_changed_layers_are_not_packed(kernel):
    model = peaked(kbm.models.decoder_lm(31, 32, 1, 2, 16))
    kbm.lora(model, rank=2, targets=["query"])
    for layer in model._flatten_layers():
        if getattr(layer, "lora_enabled", False):
            layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    plain, packed = both(model, PROMPTS * 2)
    assert plain == packed
    # Query of the block is left out of its six.
    assert operations(model).count(kernel) == 6


def test_other_precisions_are_not_packed(kernel):
    model = kbm.models.decoder_lm(31, 32, 1, 2, 16, dtype="mixed_bfloat16")
    plain, packed = both(model, PROMPTS * 2)
    assert plain == packed and kernel not in operations(model)
    assert "_keras_bigmodel_packed_weights" not in model.__dict__


def test_changed_weights_are_noticed():
    model = peaked(kbm.models.decoder_lm(31, 32, 1, 2, 16))
    before, packed = both(model)
    assert before == packed
    table = model.get_layer("token_embedding").embeddings
    table.assign(np.roll(table, 1, axis=0))
    after, packed = both(model)
    assert before != after == packed


def automatic(model, monkeypatch, **options):
    monkeypatch.setattr(packing, "_LEAST_BYTES", options.pop("least", 0))
    decided = {"jit_compile": False, "num_rows": 8, "num_tokens": 16}
    return packing.decide(model, None, **{**decided, **options})


def test_what_is_decided_when_nobody_says(monkeypatch):
    model = kbm.models.decoder_lm(31, 32, 1, 2, 16)
    assert automatic(model, monkeypatch)
    assert not automatic(model, monkeypatch, least=64 * 2**20)
    assert not automatic(model, monkeypatch, jit_compile=True)
    assert not automatic(model, monkeypatch, num_rows=65)
    for rows in (1, 3, 4, 64):
        assert automatic(model, monkeypatch, num_rows=rows)
    # Now that there are copies.
    assert automatic(model, monkeypatch, num_tokens=1)
    model = kbm.models.decoder_lm(31, 32, 1, 2, 16)
    assert not automatic(model, monkeypatch, num_tokens=7)
    assert automatic(model, monkeypatch, num_tokens=8)
    monkeypatch.setattr(packing, "_memory", lambda: 8 * 4 * 2000)
    assert not automatic(model, monkeypatch)


def test_a_model_that_learns_is_not_packed_again(monkeypatch, kernel):
    monkeypatch.setattr(packing, "_LEAST_BYTES", 0)
    model = peaked(kbm.models.decoder_lm(31, 32, 1, 2, 16))
    kbm.generate(model, PROMPTS * 3, max_new_tokens=9)
    assert kernel in operations(model)
    weight = model.trainable_weights[0]
    for _ in range(2):
        weight.assign(weight * 1.25)
        found = kbm.generate(model, PROMPTS * 3, max_new_tokens=9)
        assert kernel not in operations(model)
    plain = kbm.generate(
        model, PROMPTS * 3, max_new_tokens=9, pack_weights=False
    )
    assert found == plain


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_steps_read_blocks_until_weights_change(rows, monkeypatch, kernel):
    from keras_bigmodel.generation import tensorflow_parts

    monkeypatch.setattr(packing, "_LEAST_BYTES", 0)
    monkeypatch.setattr(tensorflow_parts, "part_bytes", lambda: 2**14)
    model = peaked(
        kbm.models.decoder_lm(31, 32, 2, 2, 128, position_encoding="learned")
    )
    prompts = (PROMPTS * 2)[:rows]

    def answers(**options):
        return kbm.generate(model, prompts, max_new_tokens=11, **options)

    assert answers() == answers(pack_weights=False)
    store = model.__dict__["_keras_bigmodel_blocks"]
    blocks = [blocks for blocks, *_ in store._found.values()]
    # Four projections and two layers behind them, for each block once.
    assert len(blocks) == 12 and None not in blocks
    assert answers() == answers(pack_weights=True)
    assert len(store._found) == 12
    # Blocks of several rows are packed.
    assert (kernel in operations(model)) is (rows >= 4)
    for weight in model.trainable_weights:
        weight.assign(weight[::-1] if "kernel" in weight.path else weight)
    assert answers() == answers(pack_weights=False)
    assert "_keras_bigmodel_blocks" not in model.__dict__


def test_they_are_refused_where_there_are_none(monkeypatch):
    model = kbm.models.decoder_lm(31, 32, 1, 2, 16)
    options = {"max_new_tokens": 9, "jit_compile": True}
    with pytest.raises(ValueError, match="jit_compile=True"):
        kbm.generate(model, PROMPTS, pack_weights=True, **options)
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="backend='jax'"):
        packing.decide(model, True, False, 1, 8)
    assert not packing.decide(model, None, False, 1, 8)


def test_memory_is_what_the_machine_or_its_limit_says(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(packing, "_CGROUP_LIMIT", limit)
    physical = packing._memory()
    assert physical > 2**20
    limit.write_text("max\n")
    assert packing._memory() == physical
    limit.write_text("4096\n")
    assert packing._memory() == 4096
