"""Live comparison with the installed transformers, on fresh random models.

`make parity` runs this. Each case draws new weights, goes from transformers to
us and back, and the largest differences of each family go into its row of the
table of docs/huggingface.md. `KERAS_BIGMODEL_PARITY=llama,bert` limits the
families, and then the table is left alone.
"""

import os
import pathlib
import time

import numpy as np
import pytest

import keras_bigmodel as kbm
from tests.huggingface import family_checks
from tests.huggingface.cases import CASES, CAUSAL

pytestmark = [pytest.mark.parity, pytest.mark.tensorflow]

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "huggingface.md"
BEGIN, END = "<!-- parity: begin -->", "<!-- parity: end -->"
CHOSEN = os.environ.get("KERAS_BIGMODEL_PARITY")
FAMILIES = CHOSEN.split(",") if CHOSEN else list(CASES)
GENERATING = CAUSAL | {"t5", "bart", "marian"}
# Once a text was longer than the context, transformers computes shorter ones
# otherwise too: what it continues depends on what it read before.
REMEMBERING = {"dynamic"}


@pytest.fixture(scope="module")
def reference():
    """transformers on PyTorch, or the reason why the test is skipped."""
    pytest.importorskip("torch", reason="make parity installs PyTorch")
    pytest.importorskip("transformers", reason="make parity installs it")
    from tests.huggingface import reference, tokenizers_by_family

    reference.tokenizers = tokenizers_by_family
    return reference


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore")
def test_parity(family, reference, tmp_path):
    found = {"full": 0.0, "padded": 0.0, "back": 0.0, "identical": 0}
    for number, variant in enumerate(CASES[family]):
        seed = time.time_ns() % 2**31
        print(f"{family}/{variant}: seed {seed}")
        folder = tmp_path / f"case_{number}"
        source = reference.random_model(family, CASES[family][variant], seed)
        expected = reference.expected(source, seed)
        reference.save_checkpoint(source, folder)
        model, _ = kbm.huggingface.load(folder)
        outputs = family_checks.outputs_of(model, expected)
        for name, values in outputs.items():
            full, padded = differences(values, expected, name)
            found["full"] = max(found["full"], full)
            found["padded"] = max(found["padded"], padded)
        again = kbm.huggingface.save(model, None, tmp_path / f"back_{number}")
        returned = reference.expected(reference.load_again(source, again), seed)
        found["back"] = max(
            found["back"], *differences(returned["logits"], expected)
        )
        comparable = variant not in REMEMBERING
        if (
            family in GENERATING
            and comparable
            and writes_no_padding(source, expected)
        ):
            family_checks.check_generation(folder, expected, family, variant)
            found["identical"] += 1
    assert max(found["full"], found["padded"], found["back"]) < 1e-4
    found["variants"] = len(CASES[family])
    found["texts"] = reference.tokenizers.check_tokenizer(family, tmp_path)
    if not CHOSEN:
        write_row(family, found)


def differences(values, expected, name="logits"):
    """The largest difference of the full row, and of the padded ones."""
    mask = np.asarray(expected["mask"])
    difference = np.abs(values - expected[name])
    if mask.ndim < 2:
        return difference.max(), 0.0
    rows = [
        family_checks.visible_part(difference[i : i + 1], mask[i : i + 1])
        for i in range(len(mask))
    ]
    return rows[0].max(), max(row.max() for row in rows[1:])


def writes_no_padding(source, expected):
    """Our models hide what holds the id of padding, read or written."""
    pad_id = getattr(source.config, "pad_token_id", None)
    return pad_id not in expected["continued"]


def write_row(family, row):
    """Puts a family's measured differences into the page."""
    import torch
    import transformers

    from tests.huggingface.tokenizers_by_family import TOKENIZERS

    generated = "–"
    if family in GENERATING:
        generated = f"identical, {row['identical']} variants"
    padded = f"{row['padded']:.1e}" if row["padded"] else "–"
    kind = TOKENIZERS.get(family)
    texts = f"{kind}, {row['texts']} texts identical" if kind else "–"
    line = (
        f"| {family} | {row['variants']} | {row['full']:.1e} | {padded} "
        f"| {row['back']:.1e} | {generated} | {texts} |"
    )
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    table, after = rest.split(END)
    lines = {
        old.split("|")[1].strip(): old
        for old in table.splitlines()
        if old.startswith("| ")
    }
    lines[family] = line
    head = [
        f"Measured by `make parity` against transformers "
        f"{transformers.__version__} on PyTorch "
        f"{torch.__version__.partition('+')[0]}.",
        "",
        "| family | variants | full context | padded | saved and back | "
        "greedy generation | tokenizer |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [lines[name] for name in CASES if name in lines]
    table = "\n".join([*head, *rows])
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")
