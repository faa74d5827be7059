"""Write a trained model or a checkpoint as a folder for TensorFlow Serving.

Examples:
  python -m keras_bigmodel export --from runs/mine --to saved_models/mine
  python -m keras_bigmodel export --from my_gpt2 --to saved_models/gpt2
"""

import argparse
import pathlib

import keras_bigmodel as kbm
from keras_bigmodel.cli.run_folder import check_writable, load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        help="what `train` made, or a Hugging Face folder or repository",
    )
    parser.add_argument(
        "--to",
        dest="target",
        required=True,
        type=pathlib.Path,
        help="the model's folder; the version's folder is made in it",
    )
    parser.add_argument("--max-new-tokens", type=int, default=64)


def run(options: argparse.Namespace) -> None:
    """Load, export, say where."""
    check_writable(options.target)
    model, tokenizer = load_model(options.source)
    folder = kbm.export_saved_model(
        model, options.target, tokenizer, max_new_tokens=options.max_new_tokens
    )
    print(folder)
