"""The BPE model of a tokenizer.json: checks, merges, ids."""

from __future__ import annotations

from typing import Any

from keras_bigmodel.text.tokenizer_json import unsupported


def check_model(model: dict[str, Any]) -> None:
    """Check the options of a BPE model, and that merges name tokens.

    Raises:
        ValueError: an option is unknown or not supported, or a merge names
            a missing token.
    """
    for name, value in model.items():
        if name not in ("type", "vocab", "merges", *_PLAIN_OPTIONS):
            raise unsupported(name, value)
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        # Dropout of 0 and empty text change nothing.
        if model.get(name):
            raise unsupported(name, model[name])
    vocabulary = model["vocab"]
    for pair in pairs_of(model):
        for token in (*pair, "".join(pair)):
            if token not in vocabulary:
                raise ValueError(
                    f"A merge names the token {token!r:.60}, which is not in "
                    f"the vocabulary. Received: merge={pair!r:.120}"
                )


_PLAIN_OPTIONS = (
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
)


def pairs_of(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the merges as pairs, from either form the files have.

    Raises:
        ValueError: a merge is no pair of tokens.
    """
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise unsupported("merges", merges)
    pairs = []
    for merge in merges:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if (
            not isinstance(pair, (list, tuple))
            or len(pair) != 2
            or not all(isinstance(part, str) and part for part in pair)
        ):
            raise ValueError(
                "A merge is a pair of tokens. "
                f"Received: merge={str(merge)[:120]!r}"
            )
        pairs.append((pair[0], pair[1]))
    return pairs


def merge_ids(
    model: dict[str, Any],
) -> tuple[list[int], list[int], list[int]]:
    """Return the ids that are merged and made, by rank.

    A pair that stands twice counts where it stands last, as in the library.
    """
    vocabulary = model["vocab"]
    ranks = {pair: rank for rank, pair in enumerate(pairs_of(model))}
    pairs = sorted(ranks, key=ranks.get)
    return (
        [vocabulary[left] for left, _ in pairs],
        [vocabulary[right] for _, right in pairs],
        [vocabulary[left + right] for left, right in pairs],
    )
