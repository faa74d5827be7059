"""Live comparison of adapters with the PEFT library; `make parity` runs it."""

import numpy as np
import pytest

import keras_bigmodel as kbm
from tests.huggingface.cases import CASES

pytestmark = [
    pytest.mark.parity,
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),
]

FAMILIES = (
    ("llama", "grouped", ["q_proj", "v_proj", "up_proj", "down_proj"]),
    ("bert", "text", ["query", "value"]),
)
OURS = ["query", "value", "up", "down"]


@pytest.fixture(scope="module")
def reference():
    """transformers on PyTorch, or the reason why the test is skipped."""
    pytest.importorskip("torch", reason="make parity installs PyTorch")
    pytest.importorskip("peft", reason="make parity installs it")
    from tests.huggingface import reference

    return reference


def outputs(model, adapted, expected):
    """What PEFT's model and ours say of a full context."""
    import torch

    names = {"token_ids": "input_ids", "segment_ids": "token_type_ids"}
    rows = {n: expected[n][:1] for n in names if n in expected}
    theirs = adapted.eval()(
        **{
            names[n]: torch.tensor(row.astype("int64"))
            for n, row in rows.items()
        }
    )
    ours = model(rows if len(rows) > 1 else rows["token_ids"])
    return theirs.logits.detach().numpy(), np.asarray(ours)


@pytest.mark.parametrize(("family", "variant", "targets"), FAMILIES)
def test_peft_reads_what_we_write(
    family, variant, targets, reference, tmp_path
):
    import peft

    entries, seed = CASES[family][variant], 3
    expected = reference.expected(
        reference.random_model(family, entries, seed), seed
    )
    # The same model twice: saving rounds a model's rotary angles.
    source = reference.random_model(family, entries, seed)
    reference.save_checkpoint(source, tmp_path / "base")
    source = reference.random_model(family, entries, seed)
    model, _ = kbm.huggingface.load(tmp_path / "base")
    kbm.lora(model, 4, OURS, alpha=12)
    generator = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(generator.normal(0, 0.1, weight.shape))
    folder = kbm.huggingface.save_adapters(model, tmp_path / "adapters")
    adapted = peft.PeftModel.from_pretrained(source, folder)
    theirs, ours = outputs(model, adapted, expected)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.abs(theirs - expected["logits"][:1]).max() > 0.01


@pytest.mark.parametrize(("family", "variant", "targets"), FAMILIES)
def test_we_read_what_peft_writes(
    family, variant, targets, reference, tmp_path
):
    import peft

    entries, seed = CASES[family][variant], 5
    source = reference.random_model(family, entries, seed)
    reference.save_checkpoint(source, tmp_path / "base")
    source = reference.random_model(family, entries, seed)
    expected = reference.expected(source, seed)
    adapted = peft.get_peft_model(
        source,
        peft.LoraConfig(
            r=3, lora_alpha=5, target_modules=targets, init_lora_weights=False
        ),
    )
    adapted.save_pretrained(tmp_path / "adapters")
    model, _ = kbm.huggingface.load(tmp_path / "base")
    kbm.huggingface.load_adapters(model, tmp_path / "adapters")
    theirs, ours = outputs(model, adapted, expected)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.abs(theirs - expected["logits"][:1]).max() > 0.01
