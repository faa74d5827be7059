"""The card of an exported model: what it is, costs and needs."""

import pathlib

import keras

from keras_bigmodel.generation.prompts import context_of

_CARD = """\
# {name}

| | |
|---|---|
| parameters | {parameters:,} |
| context | {context} |
| inputs | {inputs} |
| weights | {weights} |
| cost | {cost} |
| weights and graph on disk | {megabytes:.1f} MB |
| trained on | {training_data} |
| licence | {licence} |
| runs on | {runs_on} |

## Measured at the export, on the machine that exported it

{proof}"""

_RUNS_ON = {
    "float32": "any build of TensorFlow or TensorFlow Serving",
    "bfloat16": "any build of TensorFlow or TensorFlow Serving; fast where the "
    "processor has products of bfloat16",
    "packed": "builds for x86-64 Linux with oneDNN, as TensorFlow Serving's "
    "own image is; packed weights take twice the memory",
    "int8": "builds for x86-64 Linux with oneDNN, as TensorFlow Serving's "
    "own image is; on CPUs without VNNI sums of 8-bit products can overflow",
}


def model_card(
    name: str,
    model: keras.Model,
    folder: pathlib.Path,
    weights: str,
    training_data: str | None,
    licence: str | None,
    proof: str | None,
    pack_weights: bool = False,
) -> str:
    """Returns a model's card, as Markdown.

    Args:
        name: The served model's name.
        model: The model.
        folder: The written SavedModel.
        weights: "float32", "bfloat16" or "int8".
        training_data: What the model was trained on.
        licence: Of the model.
        proof: The proof's table; None: it was not proved.
        pack_weights: Whether it generates with packed weights.
    """
    parameters = model.count_params()
    context = context_of(model)
    # A convolution uses each of its weights many times.
    cost = (
        "about {} a token" if _reads_tokens(model) else "at least {} an input"
    )
    inputs = (f"`{x.name}` {x.dtype} {tuple(x.shape)}" for x in model.inputs)
    return _CARD.format(
        name=name,
        parameters=parameters,
        context="unlimited" if context is None else f"{context} tokens",
        inputs=", ".join(inputs),
        weights=weights,
        cost=cost.format(f"{2 * parameters / 1e6:,.3g} million operations"),
        megabytes=_size(folder) / 1e6,
        training_data=training_data or "not told",
        licence=licence or "not told",
        runs_on=_RUNS_ON["packed" if pack_weights else weights],
        proof=proof or "Nothing: the export was asked not to prove itself.",
    )


def _size(folder: pathlib.Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _reads_tokens(model: keras.Model) -> bool:
    return all("int" in tensor.dtype for tensor in model.inputs)
