"""What a model is and costs: parameters, arithmetic, memory, energy.

Examples:
  python -m keras_bigmodel inspect --model runs/mine
  python -m keras_bigmodel inspect --model runs/mine --context 64 --json
"""

import argparse
import dataclasses
import json

from keras_bigmodel.cli import console
from keras_bigmodel.cli.costs import FLOPS_PER_JOULE, estimate
from keras_bigmodel.cli.run_folder import load_model, max_sequence_length


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    console.add_model_option(parser)
    parser.add_argument(
        "--context",
        type=int,
        help="tokens the attention looks back on (default: the longest)",
    )
    console.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    """Print the architecture and the estimates."""
    model, _ = load_model(options.model)
    longest = max_sequence_length(model)
    context = longest if options.context is None else options.context
    if not 0 < context <= longest:
        raise ValueError(
            f"The context is from 1 to the model's {longest} tokens. "
            f"Received: --context={context}"
        )
    costs = estimate(model, context)
    joules = {
        f"joules_per_1000_tokens_{name}": round(1000 * value, 6)
        for name, value in costs.joules(costs.flops_per_token).items()
    }
    report = {
        **dataclasses.asdict(costs),
        "training_flops_per_token": costs.training_flops_per_token,
        "cache_bytes_for_context": context * costs.cache_bytes_per_token,
        **joules,
    }
    if options.json:
        print(json.dumps(report))
        return
    model.summary(line_length=78)
    console.table((name, f"{value:,}") for name, value in report.items())
    rates = ", ".join(
        f"{name} {rate / 1e9:g}" for name, rate in FLOPS_PER_JOULE.items()
    )
    print(f"Energy supposes so many GFLOP for a joule: {rates}.")
