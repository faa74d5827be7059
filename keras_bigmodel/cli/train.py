"""Train a language model on text: model, tokenizer and curves.

Examples:
  python -m keras_bigmodel train --text my_folder --output runs/mine
  python -m keras_bigmodel train --text a.txt --output runs/a --steps 500 --json
"""

import argparse
import dataclasses
import json
import pathlib

from keras_bigmodel.cli import console
from keras_bigmodel.cli.corpus import (
    compressed_bits_per_byte,
    load_corpus,
    num_bytes,
)
from keras_bigmodel.cli.curves import draw_curves
from keras_bigmodel.cli.recipe import Recipe, tokens_per_byte
from keras_bigmodel.cli.run_folder import check_writable, save_run
from keras_bigmodel.cli.scoring import score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--text", required=True, help="a UTF-8 file or a folder of such"
    )
    parser.add_argument(
        "--output", required=True, type=pathlib.Path, help="a folder to fill"
    )
    duration = parser.add_mutually_exclusive_group()
    duration.add_argument("--minutes", type=float, help="for how long")
    duration.add_argument("--steps", type=int, help="or for how many steps")
    for field in dataclasses.fields(Recipe):
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=field.type,
            default=field.default,
            help="default: %(default)s",
        )
    console.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    """Train, score, save."""
    names = [field.name for field in dataclasses.fields(Recipe)]
    recipe = Recipe(**{name: getattr(options, name) for name in names})
    corpus = load_corpus(options.text)
    check_writable(options.output)
    tokenizer = recipe.build_tokenizer(corpus)
    model = recipe.build_model(tokenizer)
    minutes = options.minutes
    if minutes is None and options.steps is None:
        minutes = 4.0
    curves = recipe.fit(
        model,
        tokenizer,
        corpus,
        minutes=minutes,
        steps=options.steps,
        verbose=0 if options.json else console.fit_verbosity(),
    )
    result = score(model, tokenizer, corpus.held_out, recipe.sequence_length)
    references = compressed_bits_per_byte(corpus.held_out)
    save_run(options.output, model, tokenizer)
    draw_curves(
        curves,
        options.output / "curves.png",
        tokens_per_byte=(
            tokens_per_byte(tokenizer, corpus.train),
            tokens_per_byte(tokenizer, corpus.held_out),
        ),
        references=references,
        title=corpus.name,
    )
    report = {
        "output": str(options.output),
        "parameters": model.count_params(),
        "train_bytes": num_bytes(corpus.train),
        "held_out_bytes": result.text_bytes,
        "steps": curves.steps,
        "minutes": round(curves.minutes[-1], 3),
        "bits_per_byte": round(result.bits_per_byte, 4),
        "perplexity": round(result.perplexity, 3),
        **{f"{k} bits_per_byte": round(v, 4) for k, v in references.items()},
    }
    if options.json:
        print(json.dumps(report))
    else:
        console.table(report.items())
