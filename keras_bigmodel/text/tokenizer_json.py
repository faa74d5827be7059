"""Check a tokenizer.json, part by part, before anything is built of it."""

from __future__ import annotations

from typing import Any

PARTS = {
    "version",
    "truncation",
    "padding",
    "added_tokens",
    "normalizer",
    "pre_tokenizer",
    "post_processor",
    "decoder",
    "model",
}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
MAX_VOCABULARY = 2_000_000
MAX_ADDED_LENGTH = 1_000
MAX_ADDED_TOTAL = 200_000


def check_tokenizer(spec: dict[str, Any]) -> None:
    """Check what all kinds have in common: parts, added tokens, ids.

    Raises:
        ValueError: a part is unknown or unsupported, or the ids have gaps
            or duplicates.
    """
    for name in spec:
        if name not in PARTS:
            raise unsupported(name, spec[name])
    for name in ("truncation", "padding"):
        if spec.get(name) is not None:
            raise ValueError(
                "A tokenizer.json that cuts or pads texts is not supported; "
                f"set {name!r} to null, and cut and pad in the data "
                f"pipeline. Received: {name}={spec[name]!r:.200}"
            )
    model = spec.get("model")
    if not isinstance(model, dict):
        raise unsupported("model", model)
    added = spec.get("added_tokens") or []
    if not isinstance(added, list):
        raise unsupported("added_tokens", added)
    for token in added:
        _check_added_token(token)
    total = sum(len(token["content"]) for token in added)
    if total > MAX_ADDED_TOTAL:
        raise ValueError(
            f"Added tokens have at most {MAX_ADDED_TOTAL} characters in all. "
            f"Received: {total}"
        )
    check_ids(_vocabulary(model), added)


def check_ids(vocabulary: dict[str, int], added: list[dict]) -> None:
    """Check that ids run from 0 without gaps and name one token each.

    Raises:
        ValueError: they do not.
    """
    tokens = dict(vocabulary)
    for token in added:
        known = tokens.setdefault(token["content"], token["id"])
        if known != token["id"]:
            raise ValueError(
                f"The added token {token['content']!r:.60} has the id {known} "
                f"in the vocabulary. Received: id={token['id']}"
            )
    for token, token_id in tokens.items():
        if type(token_id) is not int or not 0 <= token_id < MAX_VOCABULARY:
            raise ValueError(
                f"The id of {token!r:.60} must be a whole number from 0 to "
                f"{MAX_VOCABULARY - 1}. Received: id={token_id!r:.60}"
            )
    if not tokens:
        raise ValueError("The vocabulary is empty. Received: vocab={}")
    ids = set(tokens.values())
    if len(ids) != len(tokens):
        owners: dict[int, str] = {}
        for token, token_id in tokens.items():
            other = owners.setdefault(token_id, token)
            if other != token:
                raise ValueError(
                    f"The tokens {other!r:.60} and {token!r:.60} have the "
                    f"same id. Received: id={token_id}"
                )
    if max(ids) != len(ids) - 1:
        missing = next(i for i in range(len(ids)) if i not in ids)
        raise ValueError(
            "The vocabulary's ids must run from 0 without gaps. "
            f"Received: {len(ids)} ids up to {max(ids)}, without {missing}"
        )


def special_frame(processor: Any) -> tuple[list[int], list[int]]:
    """Return the ids a post-processor puts before and after a text.

    Raises:
        ValueError: the post-processor is not supported.
    """
    kind = component_type(processor, "post_processor")
    if kind in (None, "ByteLevel"):
        return [], []
    if kind in ("BertProcessing", "RobertaProcessing"):
        return [processor["cls"][1]], [processor["sep"][1]]
    if kind == "Sequence":
        prefix, suffix = [], []
        for part in processor["processors"]:
            before, after = special_frame(part)
            prefix, suffix = before + prefix, suffix + after
        return prefix, suffix
    if kind != "TemplateProcessing":
        raise unsupported("post_processor", processor)
    parts: tuple[list[int], list[int]] = ([], [])
    seen = 0
    for piece in processor["single"]:
        if "Sequence" in piece:
            seen += 1
        else:
            token = processor["special_tokens"][piece["SpecialToken"]["id"]]
            parts[min(seen, 1)].extend(token["ids"])
    if seen != 1:
        raise unsupported("post_processor", processor)
    return parts


def component_type(component: Any, part: str) -> str | None:
    """Return a component's type; None where there is no component.

    Raises:
        ValueError: it is no component.
    """
    if component is None:
        return None
    if not isinstance(component, dict) or not isinstance(
        component.get("type"), str
    ):
        raise unsupported(part, component)
    return component["type"]


def components(component: Any, part: str, inside: str) -> list[dict]:
    """Return the steps of a component, those of a Sequence one by one.

    Args:
        component: the component, or None.
        part: the part of tokenizer.json it belongs to.
        inside: what a Sequence of this part calls its steps.

    Raises:
        ValueError: it is no component.
    """
    kind = component_type(component, part)
    if kind is None:
        return []
    if kind != "Sequence":
        return [component]
    steps = component.get(inside)
    if not isinstance(steps, list):
        raise unsupported(part, component)
    return [inner for step in steps for inner in components(step, part, inside)]


def unsupported(part: str, component: Any) -> ValueError:
    """Return the error that names a component which is not supported."""
    name = component.get("type") if isinstance(component, dict) else None
    return ValueError(
        f"This part of tokenizer.json is not supported: {part}"
        f"{f' of type {name}' if isinstance(name, str) else ''}. "
        f"Received: {part}={component!r:.200}"
    )


def _vocabulary(model: dict[str, Any]) -> dict[str, int]:
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):
        tokens: dict[str, int] = {}
        for token_id, entry in enumerate(vocabulary):
            if (
                not isinstance(entry, list)
                or len(entry) != 2
                or not isinstance(entry[0], str)
                or type(entry[1]) not in (int, float)
            ):
                raise unsupported("vocab entry", entry)
            if entry[0] in tokens:
                raise ValueError(
                    "A token stands twice in the vocabulary. "
                    f"Received: token={entry[0]!r:.60}"
                )
            tokens[entry[0]] = token_id
        return tokens
    if not isinstance(vocabulary, dict):
        raise unsupported("vocab", vocabulary)
    return vocabulary


def _check_added_token(token: Any) -> None:
    if (
        not isinstance(token, dict)
        or not isinstance(token.get("content"), str)
        or type(token.get("id")) is not int
        or any(type(token.get(flag, False)) is not bool for flag in _FLAGS)
    ):
        raise unsupported("added token", token)
    if not 0 < len(token["content"]) <= MAX_ADDED_LENGTH:
        raise ValueError(
            f"An added token has 1 to {MAX_ADDED_LENGTH} characters. "
            f"Received: {len(token['content'])}"
        )
