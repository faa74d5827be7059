"""Read the character maps of SentencePiece's normalizers.

A map is a trie of byte strings, as a double array of 32-bit units, and one
text of what they become. The first four bytes hold the size of the trie. Of a
unit's bits the lowest eight are its label, bit 8 says whether a string ends
here, and the rest tells where its children lie; a unit for an end holds the
place of what the string becomes. The file may come from anywhere, so nothing
in it is believed.
"""

from __future__ import annotations

import struct

import numpy as np

# SentencePiece's own largest map has fewer than 2 ** 16 units.
MAX_UNITS = 2**18
MAX_STRINGS = 2**16
LONGEST_KEY = 5
_NODES_AT_ONCE = 2**12
_LABEL = np.int64(2**31 | 0xFF)
_VALUE = np.int64(2**31 - 1)


def read_charsmap(content: bytes) -> dict[str, str]:
    """Returns what each sequence of up to five bytes becomes.

    Longer ones are in the files, but the `tokenizers` library never looks
    them up.

    Raises:
        ValueError: where the content is no such map.
    """
    if len(content) < 4:
        raise _wrong("it has no size", content)
    (size,) = struct.unpack("<I", content[:4])
    if size % 4 or not 0 < size <= len(content) - 4:
        raise _wrong(f"its trie claims {size} bytes", content)
    if size // 4 > MAX_UNITS:
        raise _wrong(f"its trie has more than {MAX_UNITS} units", content)
    units = np.frombuffer(content, "<u4", size // 4, 4).astype(np.int64)
    texts = content[4 + size :]
    found = {}
    for key, place in _keys(units, content).items():
        end = texts.find(b"\0", place)
        if not 0 <= place < len(texts) or end < 0:
            raise _wrong(f"a text is said to lie at {place}", content)
        try:
            found[key.decode()] = texts[place:end].decode()
        except UnicodeDecodeError:
            raise _wrong("it holds bytes that are not UTF-8", content) from None
    return found


def write_charsmap(replacements: dict[str, str]) -> bytes:
    """Returns the map of what sequences of characters become.

    It is simple rather than small: each node's children have 256 units of
    their own.

    Raises:
        ValueError: where the map grows too large.
    """
    nodes: dict[bytes, int] = {b"": 0}
    for key in replacements:
        path = key.encode()
        for end in range(1, len(path) + 1):
            nodes.setdefault(path[:end], len(nodes))
    if (len(nodes) + 1) * 256 > MAX_UNITS:
        raise ValueError(
            "The map has too many sequences to be written. "
            f"Received: {len(replacements)} sequences"
        )
    # Block 0 holds the root's own unit, block n + 1 the children of node n.
    units = np.zeros((len(nodes) + 1) * 256, np.uint32)
    units[0] = 256 << 10
    for path, node in nodes.items():
        if not path:
            continue
        place = (nodes[path[:-1]] + 1) * 256 ^ path[-1]
        # Offsets are taken by exclusive or from where the unit lies.
        offset = (node + 1) * 256 ^ place
        units[place] = (offset << 10) | path[-1]
    texts = b""
    for key, text in replacements.items():
        node = nodes[key.encode()]
        place = (nodes[key.encode()[:-1]] + 1) * 256 ^ key.encode()[-1]
        units[place] |= 1 << 8
        units[(node + 1) * 256] = len(texts) | 2**31
        texts += text.encode() + b"\0"
    return struct.pack("<I", 4 * len(units)) + units.tobytes() + texts


def _keys(units: np.ndarray, content: bytes) -> dict[bytes, int]:
    """Returns the byte strings of the trie and where their texts lie."""
    labels = units & _LABEL
    offsets = (units >> 10) << ((units & (1 << 9)) >> 6)
    ends = (units >> 8) & 1
    found: dict[bytes, int] = {}
    nodes, paths = np.array([offsets[0]]), [b""]
    for _ in range(LONGEST_KEY):
        next_nodes, next_paths = [], []
        for start in range(0, len(nodes), _NODES_AT_ONCE):
            part = nodes[start : start + _NODES_AT_ONCE]
            places = part[:, np.newaxis] ^ np.arange(1, 256)
            if part.min() < 0 or places.max() >= len(units):
                raise _wrong("a node lies outside of its trie", content)
            is_child = labels[places] == np.arange(1, 256)
            if len(next_nodes) + is_child.sum() > MAX_STRINGS:
                raise _wrong("its trie holds too many strings", content)
            for row, column in zip(*np.nonzero(is_child), strict=True):
                place = places[row, column]
                path = paths[start + row] + bytes([column + 1])
                node = place ^ offsets[place]
                if ends[place]:
                    if node >= len(units):
                        raise _wrong("an end lies outside", content)
                    found[path] = int(units[node] & _VALUE)
                next_nodes.append(node)
                next_paths.append(path)
        nodes, paths = np.array(next_nodes, np.int64), next_paths
        if not paths:
            break
    return found


def _wrong(reason: str, content: bytes) -> ValueError:
    return ValueError(
        f"The precompiled character map is damaged: {reason}. "
        f"Received: {len(content)} bytes that begin with {content[:8]!r}"
    )
