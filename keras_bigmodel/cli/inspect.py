"""What a model is and costs: parameters, arithmetic, memory, energy.

Examples:
  python -m keras_bigmodel inspect --model runs/mine
  python -m keras_bigmodel inspect --model my_gpt2 --context 64 --json
"""

import argparse
import dataclasses
import json

import keras

from keras_bigmodel.cli import console
from keras_bigmodel.cli.costs import FLOPS_PER_JOULE, Costs, estimate
from keras_bigmodel.cli.run_folder import load_model, max_sequence_length


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    console.add_model_option(parser)
    parser.add_argument(
        "--context",
        type=int,
        help="tokens the attention looks back on (default: the longest)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=1,
        help="rows in memory at once (default: %(default)s)",
    )
    console.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    """Print the architecture and the estimates."""
    if options.batch_size < 1:
        raise ValueError(
            "There is at least one row in memory. "
            f"Received: --batch-size={options.batch_size}"
        )
    model, _ = load_model(options.model)
    costs = estimate(model, _context(model, options.context))
    report = _report(costs, options.batch_size)
    if options.json:
        print(json.dumps({"model": model.name, **report}))
        return
    model.summary(line_length=78)
    console.table((name, f"{value:,}") for name, value in report.items())
    rates = ", ".join(
        f"{name} {rate / 1e9:g}" for name, rate in FLOPS_PER_JOULE.items()
    )
    print(
        f"A unit is one {costs.unit}. Memory is for {options.batch_size} rows "
        "of the context: training keeps AdamW's moments and the activations, "
        "serving the keys and values.\n"
        f"Energy supposes so many GFLOP for a joule: {rates}; moving weights "
        "and cooling come on top."
    )


def _context(model: keras.Model, asked: int | None) -> int | None:
    if len(model.inputs[0].shape) == 4:
        if asked is not None:
            raise ValueError(
                "A model of images has no context to choose. "
                f"Received: --context={asked}"
            )
        return None
    longest = max_sequence_length(model)
    context = longest if asked is None else asked
    if not 0 < context <= longest:
        raise ValueError(
            f"The context is from 1 to the model's {longest} tokens. "
            f"Received: --context={context}"
        )
    return context


def _report(costs: Costs, batch_size: int) -> dict[str, float]:
    """The figures by name, the unit's name in theirs."""
    figures = {
        **dataclasses.asdict(costs),
        "training_flops_per_unit": costs.training_flops_per_unit,
        "cache_bytes_for_context": costs.context * costs.cache_bytes_per_unit,
        "batch_size": batch_size,
        "training_bytes": costs.training_bytes(batch_size),
        "serving_bytes": costs.serving_bytes(batch_size),
    }
    for name, joules in costs.joules(costs.flops_per_unit).items():
        figures[f"joules_per_1000_units_{name}"] = round(1000 * joules, 6)
    unit = figures.pop("unit")
    return {
        name.replace("_unit", f"_{unit}"): value
        for name, value in figures.items()
    }
