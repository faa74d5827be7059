"""Write a model as a Hugging Face checkpoint: safetensors and config.json.

transformers, vLLM, llama.cpp and others load it. The family is the first that
can say the model exactly; `--family llama` asks for one.

Examples:
  python -m keras_bigmodel convert --from runs/mine --to my_checkpoint
  python -m keras_bigmodel convert --from folder --to half --dtype bfloat16
"""

import argparse
import json
import pathlib

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
        help="the checkpoint's folder",
    )
    parser.add_argument("--family", help="the model_type to write")
    parser.add_argument(
        "--dtype", help="of a checkpoint that is converted (default: float32)"
    )
    console.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    """Load, save, say what was written."""
    check_writable(options.target)
    model, tokenizer = load_model(options.source, options.dtype)
    folder = kbm.huggingface.save(
        model,
        tokenizer,
        options.target,
        options.family,
        labels=load_labels(options.source),
    )
    config = json.loads((folder / "config.json").read_text())
    size = (folder / "model.safetensors").stat().st_size
    report = {
        "output": str(folder),
        "family": config["model_type"],
        "architecture": config["architectures"][0],
        "bytes": size,
    }
    if options.json:
        print(json.dumps(report))
    else:
        console.table(report.items())
