"""A character map like SentencePiece's own, made from Python's Unicode."""

import functools
import unicodedata

from keras_bigmodel.text.charsmap import write_charsmap


@functools.cache
def pairs():
    """Some of what form KC changes, and what the own maps do with blanks."""
    codes = [
        *range(0xA0, 0x180),
        *range(0x2000, 0x2080),
        *range(0x2100, 0x2180),
        *range(0x3000, 0x3040),
        *range(0xF900, 0xF940),
        *range(0xFB00, 0xFB07),
        *range(0xFF00, 0xFFF0),
    ]
    found = {
        chr(code): unicodedata.normalize("NFKC", chr(code)) for code in codes
    }
    for letter in "aceinouAEIOU":
        for mark in "\u0300\u0301\u0302\u0308":
            for text in (letter + mark, letter + "\u0323" + mark):
                found[text] = unicodedata.normalize("NFC", text)
    found = {key: text for key, text in found.items() if key != text}
    found |= dict.fromkeys("\t\n\r\u2028", " ")
    return found | dict.fromkeys("\x01\x02\x7f\u200b\ufeff", "")


@functools.cache
def charsmap():
    return write_charsmap(pairs())
