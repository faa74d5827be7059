"""Make a Hugging Face checkpoint a Keras model: model.keras and tokenizer.

`keras.models.load_model` reads the file; `generate`, `evaluate`, `inspect` and
`export` take the folder.

Examples:
  python -m keras_bigmodel import --from openai-community/gpt2 --to runs/gpt2
  python -m keras_bigmodel import --from folder --to runs/a --dtype bfloat16
"""

import argparse
import json
import pathlib

from keras_bigmodel.cli import console
from keras_bigmodel.cli.run_folder import (
    add_source_option,
    check_writable,
    load_labels,
    load_model,
    save_run,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_source_option(parser, "a Hugging Face folder or repository")
    parser.add_argument(
        "--to",
        dest="target",
        required=True,
        type=pathlib.Path,
        help="a folder to fill",
    )
    parser.add_argument(
        "--dtype", help="the model's dtype policy (default: float32)"
    )
    console.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    """Load, save, say what it is."""
    check_writable(options.target)
    model, tokenizer = load_model(options.source, options.dtype)
    save_run(options.target, model, tokenizer, load_labels(options.source))
    report = {
        "output": str(options.target),
        "family": model.name,
        "parameters": model.count_params(),
        "tokenizer": tokenizer and type(tokenizer).__name__,
    }
    if options.json:
        print(json.dumps(report))
    else:
        console.table(report.items())
