"""Damaged and hostile copies of a tokenizer's files, seeded."""

import copy
import json
import random
import resource
import time

import pytest

from keras_bigmodel.text import Tokenizer

HOSTILE = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**30,
    1e308,
    0.5,
    "",
    "\0",
    "\ud800",
    "../../etc/passwd",
    "a" * 100_000,
    "\u0130" * 3,
    "(" * 5_000,
    [],
    {},
    [[]],
    [{}],
    {"type": "Sequence"},
    {"type": "Unheard"},
    {"": None},
]


def deep(depth):
    value = []
    for _ in range(depth):
        value = {"type": "Sequence", "normalizers": [value]}
    return value


def _places(value, path=()):
    """All places of a JSON value, but only some of long lists."""
    yield path
    items = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    if len(items) > 11:
        items = items[:7] + items[-3:]
    for key, item in items:
        yield from _places(item, (*path, key))


def mutated_json(content, rng):
    """A JSON text with one or two of its values replaced or removed."""
    value = copy.deepcopy(content)
    for _ in range(rng.randrange(1, 3)):
        *path, last = rng.choice(list(_places(value))[1:])
        parent = value
        for key in path:
            parent = parent[key]
        kind = rng.randrange(4)
        if kind == 0:
            del parent[last]
        elif kind == 1 and isinstance(parent, dict):
            parent[rng.choice(["type", "vocab", "odd", ""])] = parent.pop(last)
        elif kind == 2:
            other = rng.choice(list(_places(value))[1:])
            source = value
            for key in other:
                source = source[key]
            parent[last] = copy.deepcopy(source)
        else:
            hostile = [*HOSTILE, deep(rng.choice([40, 100]))]
            parent[last] = copy.deepcopy(rng.choice(hostile))
    return json.dumps(value).encode("utf-8", "surrogatepass")


def mutated_bytes(content, rng):
    """A file cut, changed, doubled or padded somewhere."""
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice([1, 1, 7, 1000]))
    piece = rng.choice(
        [
            b"",
            rng.randbytes(end - start),
            content[start:end] * 2,
            b"\0",
            b"\xff\xfe",
            b'{"a":' * 3_000,
            b"[" * 100_000,
            b"9" * 5_000,
            content,
        ]
    )
    if rng.randrange(5) == 0:
        return content[:start]
    return content[:start] + piece + content[end:]


def check_mutated_files(tokenizer, folder, count):
    """Damages a saved tokenizer's files: it loads, or says what is wrong.

    Each is loaded within a second and 256 MB; what loads encodes too. Returns
    how many were refused.
    """
    tokenizer.save(folder)
    files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    refused = 0
    rng = random.Random(7)
    for i in range(count):
        path = rng.choice(list(files))
        content = files[path]
        if path.suffix == ".json" and i % 2:
            path.write_bytes(mutated_json(json.loads(content), rng))
        else:
            path.write_bytes(mutated_bytes(content, rng))
        # Files that hold less than another are only read without it.
        hidden = folder / "tokenizer.json"
        hides = hidden in files and path != hidden and rng.random() < 0.7
        if hides and path.name != "tokenizer_config.json":
            hidden.unlink()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.process_time()
        try:
            loaded = Tokenizer.load(folder)
        except ValueError as error:
            refused += 1
            assert "Received: " in str(error), error
        else:
            loaded.encode(["it is <|pad|>", "", "\u4e2d\u0301"])
        seconds = time.process_time() - started
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert seconds < 1, path.read_bytes()[:200]
        assert grown < 256 * 1024, path.read_bytes()[:200]
        path.write_bytes(content)
        if hidden in files:
            hidden.write_bytes(files[hidden])
    if not refused:
        pytest.fail("No damage was noticed.")
    return refused
