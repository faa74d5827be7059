"""Continue prompts with a trained model, word by word.

Examples:
  python -m keras_bigmodel generate --model runs/mine "Once upon a time"
  python -m keras_bigmodel generate --model runs/mine --temperature 0 "Once"
"""

import argparse
import json

import keras_bigmodel as kbm
from keras_bigmodel.cli import console
from keras_bigmodel.cli.run_folder import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    console.add_model_option(parser)
    parser.add_argument("prompts", nargs="+", metavar="PROMPT")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        help="0 takes the likeliest token (default: %(default)s)",
    )
    parser.add_argument("--top-k", type=int, default=0, help="0: all tokens")
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--seed", type=int)
    console.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    """Print the continuations."""
    sampler = kbm.samplers.Greedy()
    if options.temperature:
        sampler = kbm.samplers.Sample(
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
        )
    model, tokenizer = load_model(options.model)
    settings = {
        "max_new_tokens": options.max_new_tokens,
        "sampler": sampler,
        "seed": options.seed,
    }
    if options.json:
        texts = kbm.generate(model, options.prompts, tokenizer, **settings)
        pairs = zip(options.prompts, texts, strict=True)
        print(json.dumps([{"prompt": p, "text": t} for p, t in pairs]))
        return
    for prompt in options.prompts:
        print(f"[{prompt}]", end="", flush=True)
        console.stream(
            kbm.generate(model, prompt, tokenizer, stream=True, **settings)
        )
