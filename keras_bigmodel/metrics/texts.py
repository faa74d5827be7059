"""How near written texts are to what they should be.

Through the libraries whose numbers papers report: sacrebleu and rouge-score,
which the extra `metrics` installs.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any


def bleu(
    predictions: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> float:
    """Returns the corpus BLEU, 0 to 100, as sacrebleu computes it.

    Args:
        predictions: Written texts.
        references: For each the right text, or several.
        tokenize: How sacrebleu cuts words: "13a" (newswire), "zh" (Chinese),
            "char", "intl", "none", ....
        lowercase: Whether capitals do not matter.

    Raises:
        ImportError: If sacrebleu is not installed.
        ValueError: If there are no predictions, or not one reference for each.

    Example:
    ```python
    import keras_bigmodel as kbm

    kbm.metrics.bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
    ```

    References:
        Papineni et al. 2002, "BLEU"; Post 2018, "A Call for Clarity in
        Reporting BLEU Scores".
    """
    sacrebleu = _library("sacrebleu")
    scorer = sacrebleu.BLEU(tokenize=tokenize, lowercase=lowercase)
    return _corpus_score(scorer, predictions, references)


def chrf(
    predictions: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    word_order: int = 0,
) -> float:
    """Returns the corpus chrF, 0 to 100, as sacrebleu computes it.

    F2 over character n-grams up to 6, which needs no words and so suits
    languages written without spaces.

    Args:
        predictions: Written texts.
        references: For each the right text, or several.
        word_order: Longest word n-grams that count too; 2 is chrF++.

    Raises:
        ImportError: If sacrebleu is not installed.
        ValueError: If there are no predictions, or not one reference for each.

    Example:
    ```python
    import keras_bigmodel as kbm

    kbm.metrics.chrf(["guten Tag"], ["guten Morgen"])
    ```

    References:
        Popović 2015, "chrF: character n-gram F-score for automatic MT
        evaluation".
    """
    scorer = _library("sacrebleu").CHRF(word_order=word_order)
    return _corpus_score(scorer, predictions, references)


def rouge_l(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    use_stemmer: bool = False,
    tokenize: Callable[[str], list[str]] | None = None,
) -> float:
    """Returns the mean ROUGE-L F1, 0 to 100, as rouge-score computes it.

    Args:
        predictions: Written texts.
        references: For each the right text.
        use_stemmer: Whether English words count by their stems.
        tokenize: How a text is cut into words; default: runs of a-z and 0-9 in
            lower case, which sees nothing of other scripts.

    Raises:
        ImportError: If rouge-score is not installed.
        ValueError: If there are no predictions, or not one reference for each.

    Example:
    ```python
    import keras_bigmodel as kbm

    kbm.metrics.rouge_l(["the cat sat"], ["the cat was sitting"])
    ```

    References:
        Lin 2004, "ROUGE", section 3.
    """
    _check_texts(predictions, references)
    library = _library("rouge_score.rouge_scorer", "rouge-score")
    words = None if tokenize is None else _Words(tokenize)
    scorer = library.RougeScorer(
        ["rougeL"], use_stemmer=use_stemmer, tokenizer=words
    )
    scores = [
        scorer.score(reference, prediction)["rougeL"].fmeasure
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    return 100 * sum(scores) / len(scores)


class _Words:
    """The tokenizer that rouge-score asks for."""

    def __init__(self, tokenize: Callable[[str], list[str]]) -> None:
        self.tokenize = tokenize


def _library(module: str, distribution: str | None = None) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This metric needs {distribution or module}. Install it with "
            "`pip install 'keras_bigmodel[metrics]'`."
        ) from error


def _check_texts(predictions: Any, references: Any) -> None:
    if isinstance(predictions, str) or isinstance(references, str):
        raise ValueError(
            "Predictions and references are lists of texts. Received: "
            f"predictions={predictions!r:.80}, references={references!r:.80}"
        )
    if not len(predictions) or len(predictions) != len(references):
        raise ValueError(
            "There must be at least one prediction, and as many references. "
            f"Received: len(predictions)={len(predictions)}, "
            f"len(references)={len(references)}"
        )


def _corpus_score(scorer: Any, predictions: Any, references: Any) -> float:
    _check_texts(predictions, references)
    several = [
        [texts] if isinstance(texts, str) else list(texts)
        for texts in references
    ]
    # sacrebleu wants the first references of all, then the second, ....
    most = max(len(texts) for texts in several)
    columns = [
        [texts[index] if index < len(texts) else None for texts in several]
        for index in range(most)
    ]
    return scorer.corpus_score(list(predictions), columns).score
