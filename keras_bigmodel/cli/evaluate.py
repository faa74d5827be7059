"""Bits per byte and perplexity of a model on a text.

Examples:
  python -m keras_bigmodel evaluate --model runs/mine --text other.txt
  python -m keras_bigmodel evaluate --model runs/mine --text other.txt --json
"""

import argparse
import json
import pathlib

from keras_bigmodel.cli import console
from keras_bigmodel.cli.corpus import compressed_bits_per_byte, read_documents
from keras_bigmodel.cli.run_folder import load_model, max_sequence_length
from keras_bigmodel.cli.scoring import score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    console.add_model_option(parser)
    parser.add_argument(
        "--text",
        required=True,
        type=pathlib.Path,
        help="a UTF-8 file or a folder of such, all of it scored",
    )
    console.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    """Score the whole text."""
    documents = read_documents(options.text)
    model, tokenizer = load_model(options.model)
    result = score(
        model,
        tokenizer,
        documents,
        max_sequence_length(model),
        progress=console.progress("Batches"),
    )
    references = compressed_bits_per_byte(documents)
    report = {
        "bytes": result.text_bytes,
        "tokens": result.tokens,
        "bits_per_byte": round(result.bits_per_byte, 4),
        "perplexity": round(result.perplexity, 3),
        **{f"{k} bits_per_byte": round(v, 4) for k, v in references.items()},
    }
    if options.json:
        print(json.dumps(report))
    else:
        console.table(report.items())
