"""The kind of tokenizer that each family's checkpoints come with."""

import pathlib
import pydoc_data.topics

import transformers

from keras_bigmodel import text

# Marian's has two vocabularies, one a language, which is not supported.
TOKENIZERS = {
    **dict.fromkeys(
        ("gpt2", "gpt_neox", "bloom", "roberta", "bart"), "byte-level BPE"
    ),
    **dict.fromkeys(("llama", "olmo2"), "byte-level BPE (Llama 3)"),
    **dict.fromkeys(("qwen2", "qwen3"), "byte-level BPE (Qwen 2)"),
    **dict.fromkeys(
        ("mistral", "mixtral", "phi3", "gemma", "gemma2", "gemma3_text"),
        "SentencePiece BPE",
    ),
    **dict.fromkeys(("bert", "distilbert", "electra"), "WordPiece"),
    **dict.fromkeys(("t5", "xlm-roberta"), "unigram"),
}
PATTERNS = {
    "byte-level BPE": "gpt2",
    "byte-level BPE (Llama 3)": "llama3",
    "byte-level BPE (Qwen 2)": "qwen2",
    "SentencePiece BPE": "sentencepiece",
}


def check_tokenizer(family: str, folder: pathlib.Path) -> int:
    """Asserts that transformers reads our files as we do.

    Returns:
        How many texts have the same ids.
    """
    kind = TOKENIZERS.get(family)
    if kind is None:
        return 0
    topics = list(pydoc_data.topics.topics.values())
    trained = topics[:11]
    if kind in PATTERNS:
        tokenizer = text.BytePairTokenizer.train(
            trained, 509, pattern=PATTERNS[kind]
        )
    elif kind == "WordPiece":
        tokenizer = text.WordPieceTokenizer.train(trained, 509)
    else:
        tokenizer = text.UnigramTokenizer.train(trained, 509)
    path = tokenizer.save(folder / "tokenizer")
    loaded = text.Tokenizer.load(path)
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(path / "tokenizer.json")
    )
    texts = [line for topic in topics[11:20] for line in topic.split("\n")]
    texts += ["学而时习之", "\U0001f468\u200d\U0001f469", " a  b\t\nc "]
    if loaded.encode(texts) != theirs(texts)["input_ids"]:
        raise AssertionError(f"{family}: the ids differ from transformers'")
    return len(texts)
