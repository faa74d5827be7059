"""From text to a served language model, told step by step.

Examples:
  python -m keras_bigmodel demo
  python -m keras_bigmodel demo --text my_folder --output saved_models/mine
"""

import argparse
import pathlib
import time

import keras

import keras_bigmodel as kbm
from keras_bigmodel.cli import console, fresh_process
from keras_bigmodel.cli.corpus import (
    Corpus,
    compressed_bits_per_byte,
    load_corpus,
    num_bytes,
)
from keras_bigmodel.cli.costs import FLOPS_PER_JOULE, estimate
from keras_bigmodel.cli.curves import draw_curves
from keras_bigmodel.cli.recipe import Recipe, tokens_per_byte
from keras_bigmodel.cli.run_folder import check_writable, save_run
from keras_bigmodel.cli.scoring import score

NEW_TOKENS = 48
PROMPTS = ("The for statement", "A class definition", "If an exception")

NEXT = """\
  1. Read the same story cell by cell:
       notebooks/01_text_generation.ipynb
  2. Serve the model with TensorFlow Serving, and ask it:
       docker run --rm -p 8501:8501 -v "{base}:/models/{name}" \\
         -e MODEL_NAME={name} tensorflow/serving:2.20.0
       curl -s localhost:8501/v1/models/{name}:predict \\
         -d '{{"instances": ["{prompt}"]}}'
  3. Train on a text of yours; README.md, "Your own text", says more:
       make demo TEXT=path/to/a/folder"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--text",
        help="a UTF-8 file or a folder of such "
        "(default: the language reference that comes with Python)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=4.0,
        help="how long to train (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        help="where to export to (default: saved_models/python_docs, "
        "or saved_models/ and the text's name)",
    )


def run(options: argparse.Namespace) -> None:
    """Tell the story."""
    start = time.monotonic()
    if not options.minutes > 0:
        raise ValueError(
            "Train for some minutes, a fraction of one will do. "
            f"Received: --minutes={options.minutes}"
        )
    output = options.output or default_output(options.text)
    corpus = load_corpus(options.text)
    check_writable(output)
    run_folder = pathlib.Path("runs") / output.name
    check_writable(run_folder)

    recipe = Recipe()
    tokenizer, model = prepare(corpus, recipe)
    curves = learn(model, tokenizer, corpus, recipe, options.minutes)
    picture = evaluate(model, tokenizer, corpus, recipe, curves, run_folder)
    save_run(run_folder, model, tokenizer)
    print(f"The curves: {picture}, beside the model and its tokenizer.")
    prompts = choose_prompts(options.text, corpus)
    continue_prompts(model, tokenizer, prompts)
    serve(model, tokenizer, prompts, output)

    console.heading(f"What next? ({(time.monotonic() - start) / 60:.1f} min)")
    base = output.resolve()
    print(NEXT.format(base=base, name=output.name, prompt=prompts[0]))


def default_output(text: str | None) -> pathlib.Path:
    """Where to export to, named after the text."""
    name = "python_docs" if text is None else pathlib.Path(text).resolve().stem
    return pathlib.Path("saved_models") / (name or "text")


def prepare(
    corpus: Corpus, recipe: Recipe
) -> tuple[kbm.text.Tokenizer, keras.Model]:
    """Show the text, then make the tokenizer and the model."""
    console.heading("1. The text")
    print(f"{corpus.name}, without {corpus.repeated_bytes:,} repeated bytes")
    parts = {"to train on": corpus.train, "held out": corpus.held_out}
    console.table(
        (name, f"{len(texts)} documents", f"{num_bytes(texts):,} bytes")
        for name, texts in parts.items()
    )

    console.heading("2. The tokenizer")
    tokenizer = recipe.build_tokenizer(corpus)
    ratio = 1 / tokens_per_byte(tokenizer, corpus.held_out)
    print(
        f"{tokenizer.vocabulary_size} byte-pair tokens learned from the "
        f"training part; one holds {ratio:.2f} bytes of held-out text."
    )

    console.heading("3. The model")
    model = recipe.build_model(tokenizer)
    model.summary(line_length=78)
    costs = estimate(model, recipe.sequence_length)
    joules = 1000 * costs.joules(costs.flops_per_unit)["CPU"]
    console.table(
        [
            ("parameters", f"{costs.parameters:,}"),
            ("weights", console.megabytes(costs.weight_bytes)),
            (
                f"to train, {recipe.batch_size} windows at a time",
                console.megabytes(costs.training_bytes(recipe.batch_size)),
            ),
            (
                "operations for a token",
                f"{costs.flops_per_unit / 1e6:.1f} MFLOP",
            ),
            (
                "key and value cache for a token",
                f"{costs.cache_bytes_per_unit:,} bytes",
            ),
            ("energy for 1,000 tokens", f"about {joules:.1g} J"),
        ]
    )
    print(
        f"(energy: supposing {FLOPS_PER_JOULE['CPU'] / 1e9:.0f} GFLOP for a "
        "joule, two busy server cores at 10 W)"
    )
    return tokenizer, model


def learn(model, tokenizer, corpus, recipe, minutes):
    """Train, and say what it took."""
    console.heading(f"4. Training, at most {minutes:g} minutes")
    curves = recipe.fit(
        model,
        tokenizer,
        corpus,
        minutes=minutes,
        verbose=console.fit_verbosity(),
    )
    costs = estimate(model, recipe.sequence_length)
    tokens = curves.steps * recipe.batch_size * recipe.sequence_length
    flops = tokens * costs.training_flops_per_unit
    print(
        f"{curves.steps:,} steps over {tokens:,} tokens in "
        f"{curves.minutes[-1]:.1f} minutes: {flops / 1e12:.1f} TFLOP, "
        f"{flops / 6e10 / curves.minutes[-1]:.0f} GFLOP/s, about "
        f"{costs.joules(flops)['CPU'] / 1e3:.1f} kJ under the same supposition."
    )
    return curves


def evaluate(model, tokenizer, corpus, recipe, curves, folder):
    """Compare with compressors on the held-out text, and draw the curves."""
    console.heading("5. Held-out text: bits to write one byte")
    result = score(model, tokenizer, corpus.held_out, recipe.sequence_length)
    references = compressed_bits_per_byte(corpus.held_out)
    rows = {"this model": result.bits_per_byte, **references}
    console.table((name, f"{bits:.3f}") for name, bits in rows.items())
    print(
        f"Over all {result.text_bytes:,} held-out bytes; each of their "
        f"{result.tokens:,} tokens is\npredicted once, from what stands before "
        f"it (perplexity {result.perplexity:.1f}). The\ncompressors see the "
        "held-out text alone, the model has read the rest."
    )
    return draw_curves(
        curves,
        folder / "curves.png",
        tokens_per_byte=(
            tokens_per_byte(tokenizer, corpus.train),
            tokens_per_byte(tokenizer, corpus.held_out),
        ),
        references=references,
        title=f"{model.count_params() / 1e6:.1f} million parameters "
        f"on {folder.name}",
    )


def choose_prompts(text: str | None, corpus: Corpus) -> list[str]:
    """Three beginnings; of the user's own text, those of held-out documents."""
    if text is None:
        return list(PROMPTS)
    beginnings = [first_words(document) for document in corpus.held_out]
    beginnings = list(dict.fromkeys(filter(None, beginnings)))
    return beginnings[:3]


def first_words(document: str, size: int = 30) -> str:
    """A document's first words, up to `size` bytes of its first line."""
    line = next(filter(None, map(str.strip, document.splitlines())), "")
    cut = line.encode()[:size].decode(errors="ignore")
    return cut.rsplit(" ", 1)[0] if cut != line and " " in cut else cut


def continue_prompts(model, tokenizer, prompts) -> None:
    """Print sampled continuations word by word."""
    console.heading("6. Sampled continuations")
    for seed, prompt in enumerate(prompts):
        print(f"[{prompt}]", end="", flush=True)
        pieces = kbm.generate(
            model,
            prompt,
            tokenizer,
            max_new_tokens=NEW_TOKENS,
            sampler=kbm.samplers.Sample(temperature=0.7, top_p=0.9),
            seed=seed,
            stream=True,
        )
        console.stream(pieces)
        print()


def serve(model, tokenizer, prompts, output) -> None:
    """Export, ask the files in a fresh process, compare."""
    console.heading("7. Export for TensorFlow Serving")
    folder = kbm.export_saved_model(
        model, output, tokenizer=tokenizer, max_new_tokens=NEW_TOKENS
    )
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{folder} holds {console.megabytes(size)}.")
    here = kbm.generate(model, prompts, tokenizer, max_new_tokens=NEW_TOKENS)
    print("A fresh Python without Keras loads it and answers greedily:")
    there = fresh_process.ask(folder, prompts)
    for prompt, served, in_memory in zip(prompts, there, here, strict=True):
        words = " ".join(served.split())
        print(f"  [{prompt}] {words[:60]}...")
        if served != in_memory:
            raise RuntimeError(
                "The exported model answers otherwise than the one in memory. "
                f"Received: served={served!r}, in_memory={in_memory!r}"
            )
    print(f"All {len(prompts)} answers equal those of the model in memory.")
