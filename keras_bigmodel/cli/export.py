r"""Write a trained model or a checkpoint as a folder for TensorFlow Serving.

What is served follows the model: a language model or an encoder-decoder
writes, a classifier names classes (its checkpoint's), an encoder gives
embeddings. The folder is proved by running it before the command ends.

Examples:
  python -m keras_bigmodel export --from runs/mine --to saved_models/mine
  python -m keras_bigmodel export --from openai-community/gpt2 \\
    --to saved_models/gpt2
  python -m keras_bigmodel export --from google/vit-base-patch16-224 \\
    --to saved_models/vit --json
"""

import argparse
import contextlib
import io
import json
import pathlib
import sys

import keras_bigmodel as kbm
from keras_bigmodel.cli import console
from keras_bigmodel.cli.run_folder import (
    add_source_option,
    check_writable,
    load_labels,
    load_model,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_source_option(parser)
    parser.add_argument(
        "--to",
        dest="target",
        required=True,
        type=pathlib.Path,
        help="the model's folder; the version's folder is made in it",
    )
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        default=64,
        help="longest answer of serving_default (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype", help="the model's dtype policy, such as bfloat16"
    )
    parser.add_argument(
        "--weights",
        choices=("float32", "bfloat16", "int8"),
        default="float32",
        help="as they are, half the size, or a quarter, which runs on x86-64 "
        "Linux (default: %(default)s)",
    )
    parser.add_argument(
        "--pack-weights",
        action="store_true",
        help="for servers on x86-64 Linux: faster, for twice the memory",
    )
    parser.add_argument(
        "--cores",
        type=int,
        metavar="N",
        help="of the servers, if known: no more share a step, and they share "
        "it faster",
    )
    console.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    """Load, export, say where."""
    check_writable(options.target)
    model, tokenizer = load_model(options.source, options.dtype)
    proof = io.StringIO()
    with contextlib.redirect_stdout(proof if options.json else sys.stdout):
        folder = kbm.export_saved_model(
            model,
            options.target,
            tokenizer,
            load_labels(options.source),
            max_new_tokens=options.max_new_tokens,
            weights=options.weights,
            pack_weights=options.pack_weights,
            cores=options.cores,
        )
    print(json.dumps({"folder": str(folder)}) if options.json else folder)
