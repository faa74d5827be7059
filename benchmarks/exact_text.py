"""Whether both faces of each tokenizer give the same ids, on many strings.

`python -m benchmarks.exact_text` tries 100,000 strings for every kind of
tokenizer and writes what it counted to benchmarks/results/exact_text.md.
"""

import argparse
import functools
import importlib.util
import pathlib
import pydoc_data.topics
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator

import keras_bigmodel as kbm

SAMPLES = (
    "The quick brown fox doesn't jump; it's WE'LL and they'd 1,234.56!",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Portez ce vieux whisky au juge blond qui fume, n'est-ce pas ?",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？人不知而不愠。",
    "いろはにほへと ちりぬるを、カタカナも①②③。",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر",
    "עטלף אבק נס דרך מזגן שהתפוצץ כי חם",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "Tiếng Việt có dấu: Đường, Nguyễn, ứng dụng, Hà Nội.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΐ ΰ ᾳ",
    "def f(x):\n\tif x >= 0x1F:\r\n        return {'a': x ** 2}  # ok\n",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e8\U0001f1f3 "
    "\U0001f44d\U0001f3fd \u2764\ufe0f e\u0301 n\u0303o A\u030a",
)
RANGES = (
    (0x20, 0x7F),
    (0x80, 0x250),
    (0x250, 0x3000),
    (0x3000, 0xD800),
    (0xE000, 0xF900),  # private use
    (0xF900, 0x10000),
    (0x10000, 0x110000),
    (0x0300, 0x0370),  # combining marks
    (0x1100, 0x1200),  # Hangul's parts
    (0x1F300, 0x1FA00),  # emoji
)
BLANKS = " \t\n\r\v\f\u0085\u00a0\u1680\u2003\u2028\u202f\u3000\u2581"
PIECES = ("'s", "'LL", "'ve", "<|endoftext|>", "<s>", "</s>", "<unk>", "##")
BATCH = 500


@functools.cache
def real_text() -> str:
    """Return text of many languages: the documentation, Django's messages."""
    parts = [*pydoc_data.topics.topics.values(), *SAMPLES]
    found = importlib.util.find_spec("django")
    if found is not None and found.origin is not None:
        locale = pathlib.Path(found.origin).parent / "conf" / "locale"
        for path in sorted(locale.glob("*/LC_MESSAGES/django.po")):
            messages = re.findall(r'^msgstr "(.+)"$', path.read_text(), re.M)
            parts.append("\n".join(messages))
    return "\n".join(parts)


def strings(count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield seeded strings: real, random, broken, blank, empty."""
    rng = random.Random(seed)
    makers = (_real, _real, _joined, _unicode, _raw, _blanks, _edited, _same)
    for i in range(count):
        if i % 97 == 0:
            yield b""
        else:
            yield rng.choice(makers)(rng)


def _real(rng: random.Random) -> bytes:
    text = real_text()
    start = rng.randrange(len(text))
    return text[start : start + rng.randrange(120)].encode()


def _joined(rng: random.Random) -> bytes:
    parts = [*SAMPLES, *PIECES, *BLANKS]
    return "".join(rng.choices(parts, k=rng.randrange(5))).encode()


def _character(rng: random.Random) -> str:
    return chr(rng.randrange(*rng.choice(RANGES)))


def _unicode(rng: random.Random) -> bytes:
    size = rng.randrange(40)
    if rng.random() < 0.5:
        first, last = rng.choice(RANGES)
        return "".join(
            chr(rng.randrange(first, last)) for _ in range(size)
        ).encode()
    return "".join(_character(rng) for _ in range(size)).encode()


def _raw(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return rng.randbytes(rng.randrange(30))
    # Real text with a byte lost or changed.
    text = bytearray(rng.choice(SAMPLES).encode())
    for _ in range(rng.randrange(1, 4)):
        text[rng.randrange(len(text))] = rng.randrange(256)
    return bytes(text[: rng.randrange(len(text))])


def _blanks(rng: random.Random) -> bytes:
    parts = []
    for _ in range(rng.randrange(6)):
        parts.append(rng.choice(BLANKS) * rng.choice((1, 1, 2, 3, 70)))
        parts.append(rng.choice(("a", "B", "1", "!", "中", "'s", "\0", "\x7f")))
    return "".join(parts).encode()


def _edited(rng: random.Random) -> bytes:
    text = list(rng.choice(SAMPLES))
    for _ in range(rng.randrange(6)):
        text.insert(
            rng.randrange(len(text)),
            rng.choice((*PIECES, *BLANKS, _character(rng))),
        )
    start = rng.randrange(len(text))
    return "".join(text[start : start + rng.randrange(60)]).encode()


def _same(rng: random.Random) -> bytes:
    unit = rng.choice(("a", "-", "ab", "=", "中", "é", "\U0001f600", "9"))
    return (unit * rng.randrange(100)).encode()


def differences(
    tokenizer: kbm.text.Tokenizer, texts: list[bytes], keeps_bytes: bool
) -> list[bytes]:
    """Return the texts on which the faces of a tokenizer differ.

    Ids must be equal in Python, in the graph and in the `tokenizers` library
    itself, and so must the texts made of them. Where `keeps_bytes`, the text
    itself must come back.
    """
    import tensorflow as tf

    graph = _graph(tokenizer)
    expected = tokenizer.encode(texts)
    ids, joined = graph(tf.constant(texts, tf.string))
    decoded = tokenizer.decode(expected, skip_special_tokens=False)
    library = getattr(tokenizer, "library", None)
    ours = [text.decode("utf-8", "replace") for text in texts]
    if library is None:
        reference = expected
    else:
        reference = [e.ids for e in library.encode_batch(ours)]
    if library is None:
        ours = texts
    else:
        ours = [text.encode() for text in ours]
    return [
        text
        for text, a, b, c, bytes_, string, own in zip(
            texts,
            expected,
            reference,
            ids.to_list(),
            joined.numpy(),
            decoded,
            ours,
            strict=True,
        )
        if not a == b == c
        or bytes_.decode("utf-8", "replace") != string
        or (keeps_bytes and bytes_ != own)
    ]


_GRAPHS: dict[int, Callable] = {}


def _graph(tokenizer: kbm.text.Tokenizer) -> Callable:
    import tensorflow as tf

    if id(tokenizer) not in _GRAPHS:

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def both(texts):
            ids = tokenizer(texts)
            return ids, tokenizer.detokenize(ids, skip_special_tokens=False)

        _GRAPHS[id(tokenizer)] = both
    return _GRAPHS[id(tokenizer)]


def training_texts() -> list[str]:
    """Return what the kinds are trained on here."""
    text = real_text()
    return [text[i : i + 2000] for i in range(0, len(text), 8000)]


def _byte_pair(pattern: str, size: int = 3000) -> kbm.text.Tokenizer:
    return kbm.text.BytePairTokenizer.train(
        training_texts(), size, pattern=pattern
    )


def _qwen2() -> kbm.text.Tokenizer:
    """Return a tokenizer with all the parts of Qwen 2's file."""
    from tokenizers import Tokenizer, normalizers

    library = Tokenizer.from_str(_byte_pair("qwen2").library.to_str())
    library.normalizer = normalizers.NFC()
    return kbm.text.BytePairTokenizer(library)


def _llama3() -> kbm.text.Tokenizer:
    """Return a tokenizer with all the parts of Llama 3's file."""
    import json

    from tokenizers import Tokenizer, processors

    spec = json.loads(_byte_pair("llama3").library.to_str())
    spec["model"]["ignore_merges"] = True
    library = Tokenizer.from_str(json.dumps(spec))
    library.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 1)]
            ),
        ]
    )
    return kbm.text.BytePairTokenizer(library)


def _metaspace() -> kbm.text.Tokenizer:
    """Return a tokenizer as Mistral's newer files have it."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

    source = kbm.text.BytePairTokenizer.train(
        training_texts(), 3000, pattern="sentencepiece", start_token="<s>"
    )
    library = Tokenizer.from_str(source.library.to_str())
    library.normalizer = normalizers.Sequence([])
    library.pre_tokenizer = pre_tokenizers.Metaspace(
        prepend_scheme="first", split=False
    )
    library.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
        ]
    )
    return kbm.text.BytePairTokenizer(library)


def _unigram_t5() -> kbm.text.Tokenizer:
    """Return a tokenizer with all the parts of T5's file.

    Its precompiled map holds some of what SentencePiece's own maps do.
    """
    import unicodedata

    from tokenizers import Tokenizer, normalizers

    from keras_bigmodel.text.charsmap import write_charsmap

    pairs = {
        text: unicodedata.normalize("NFKC", text)
        for first, last in ((0xA0, 0x180), (0x2100, 0x2180), (0xFF00, 0xFFF0))
        for text in map(chr, range(first, last))
    }
    pairs |= {
        letter + mark: unicodedata.normalize("NFC", letter + mark)
        for letter in "aceinouAEIOU"
        for mark in "\u0300\u0301\u0302\u0308\u030a"
    }
    pairs |= dict.fromkeys("\t\n\r\u2028", " ")
    pairs = {key: text for key, text in pairs.items() if key != text}
    library = Tokenizer.from_str(_unigram().library.to_str())
    library.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(write_charsmap(pairs)), *library.normalizer]
    )
    return kbm.text.UnigramTokenizer(library)


@functools.cache
def _unigram() -> kbm.text.Tokenizer:
    return kbm.text.UnigramTokenizer.train(training_texts(), 3000)


def _word_piece(lowercase: bool) -> kbm.text.Tokenizer:
    return kbm.text.WordPieceTokenizer.train(
        training_texts(), 3000, lowercase=lowercase
    )


# Each kind: how to make one, and whether it keeps every byte.
KINDS: dict[str, tuple[Callable[[], kbm.text.Tokenizer], bool]] = {
    "bytes": (lambda: kbm.text.ByteTokenizer(), True),
    "characters": (
        lambda: kbm.text.CharacterTokenizer.train(training_texts(), 2000),
        False,
    ),
    "byte_pair_gpt2": (lambda: _byte_pair("gpt2"), True),
    "byte_pair_llama3": (_llama3, False),
    "byte_pair_qwen2": (_qwen2, False),
    "byte_pair_llama2": (lambda: _byte_pair("sentencepiece"), False),
    "byte_pair_mistral": (_metaspace, False),
    "word_piece_uncased": (lambda: _word_piece(True), False),
    "word_piece_cased": (lambda: _word_piece(False), False),
    "unigram": (_unigram, False),
    "unigram_t5": (_unigram_t5, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path(__file__).parent / "results" / "exact_text.md",
    )
    options = parser.parse_args()
    lines = ["| kind | strings | that differ |", "|---|---|---|"]
    failed = 0
    for kind in options.kind or KINDS:
        make, keeps_bytes = KINDS[kind]
        with tempfile.TemporaryDirectory() as folder:
            # What is tried went through the files once.
            tokenizer = kbm.text.Tokenizer.load(make().save(folder))
        started = time.time()
        texts = list(strings(options.count))
        wrong: list[bytes] = []
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            wrong += differences(tokenizer, batch, keeps_bytes)
        failed += len(wrong)
        lines.append(f"| {kind} | {len(texts)} | {len(wrong)} |")
        print(lines[-1], f"{time.time() - started:.0f} s", wrong[:3])
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text("\n".join(lines) + "\n")
    if failed:
        raise SystemExit(f"{failed} strings differ")


if __name__ == "__main__":
    main()
