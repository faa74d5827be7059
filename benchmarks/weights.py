"""Trains the demo's model and compares the kinds of weights it exports with.

    python -m benchmarks.weights [minutes]

Writes results/weights.md: the bits that a held-out byte takes with float32,
bfloat16 and 8-bit weights, computed as the exports compute them.
"""

import pathlib
import sys

from keras_bigmodel.cli.corpus import load_corpus
from keras_bigmodel.cli.recipe import Recipe
from keras_bigmodel.cli.scoring import score
from keras_bigmodel.export.weights import WEIGHTS, with_weights

RESULT = pathlib.Path(__file__).parent / "results" / "weights.md"


def main(minutes):
    corpus, recipe = load_corpus(), Recipe()
    tokenizer = recipe.build_tokenizer(corpus)
    model = recipe.build_model(tokenizer)
    curves = recipe.fit(model, tokenizer, corpus, minutes=minutes, verbose=0)
    found = {
        kind: score(
            with_weights(model, kind),
            tokenizer,
            corpus.held_out,
            recipe.sequence_length,
        ).bits_per_byte
        for kind in WEIGHTS
    }
    lines = [
        "# Kinds of weights",
        "",
        f"The demo's model, {model.count_params():,} parameters, trained for "
        f"{curves.steps:,} steps,",
        "on all held-out text, by `benchmarks/weights.py`.",
        "",
        "| weights | bits a held-out byte | more than float32 |",
        "|---|---|---|",
    ]
    lines += [
        f"| {kind} | {bits:.4f} | {bits - found['float32']:+.4f} |"
        for kind, bits in found.items()
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.5)
