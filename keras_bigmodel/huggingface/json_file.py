"""Read JSON that somebody else wrote, within bounds."""

import json
from pathlib import Path
from typing import Any

MAX_STRUCTURE = 1_000_000


def read_json(path: Path, max_bytes: int) -> dict[str, Any]:
    """Returns the object that a JSON file holds.

    Args:
        path: The file.
        max_bytes: Its largest size.

    Raises:
        ValueError: If the file is missing, larger, or not a JSON object.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise ValueError(
                f"{path.name} must have at most {max_bytes} bytes. "
                f"Received: size={size}"
            )
        return parse_json(path.read_bytes(), path.name)
    except OSError as error:
        raise ValueError(
            f"{path.name} cannot be read: {error.strerror}. "
            f"Received: path={str(path)!r}"
        ) from None


def parse_json(raw: bytes, name: str) -> dict[str, Any]:
    """Returns the object that JSON text holds.

    Args:
        raw: The text, UTF-8.
        name: What to call it in an error.

    Raises:
        ValueError: If it is no JSON object, repeats a key, holds NaN or
            infinity, nests too deep, or has more than a million parts.
    """
    # Each part costs tens of bytes once it is a Python object.
    if sum(raw.count(sign) for sign in (b"{", b"[", b",")) > MAX_STRUCTURE:
        raise ValueError(
            f"{name} must have at most {MAX_STRUCTURE} objects, lists and "
            f"entries. Received: size={len(raw)}"
        )
    try:
        content = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{name} is not the JSON it should be: {str(error)[:200]}. "
            f"Received: {raw[:60]!r}"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(
            f"{name} must hold a JSON object. Received: {raw[:60]!r}"
        )
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"it has the key {key[:60]!r} twice")
            seen.add(key)
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if abs(number) == float("inf"):
        raise ValueError(f"{text[:20]} is too large")
    return number
