"""BLEU, chrF and ROUGE-L."""

import math

import pytest

from keras_bigmodel import metrics
from keras_bigmodel.metrics import texts


@pytest.fixture(autouse=True)
def _libraries():
    pytest.importorskip("sacrebleu", reason="needs the extra `metrics`")
    pytest.importorskip("rouge_score", reason="needs the extra `metrics`")


def test_bleu_by_hand():
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples.
    prediction = "the cat sat on the hat"
    reference = "the cat stood on the hat"
    precisions = [5 / 6, 3 / 5, 1 / 4]
    found = metrics.bleu([prediction], [reference])
    # No quadruple is right: sacrebleu counts half of one ("exp" smoothing).
    expected = 100 * math.prod([*precisions, 0.5 / 3]) ** 0.25
    assert found == pytest.approx(expected, rel=1e-6)


def test_bleu_is_of_the_corpus_and_knows_several_references():
    predictions = ["a b c d e", "x y z u v"]
    assert metrics.bleu(predictions, predictions) == pytest.approx(100)
    several = [["q r s t p", "a b c d e"], ["x y z u v"]]
    assert metrics.bleu(predictions, several) == pytest.approx(100)
    mixed = metrics.bleu(["a b c d", "x y z u v w"], ["a b c d", "k l m n o p"])
    assert mixed != pytest.approx(50, abs=1)  # the mean of 100 and 0


def test_bleu_of_chinese_needs_its_tokenizer():
    prediction, reference = ["今天天气很好吗"], ["今天天气很好啊"]
    assert metrics.bleu(prediction, reference) < 1
    assert metrics.bleu(prediction, reference, tokenize="zh") > 50


def test_chrf():
    assert metrics.chrf(["guten Tag"], ["guten Tag"]) == pytest.approx(100)
    # One character of two right, no pair: F2 of the two orders that exist.
    assert metrics.chrf(["ab"], ["ac"]) == pytest.approx(25)
    assert metrics.chrf(["ab cd"], ["ab ce"], word_order=2) > 0


def test_rouge_l_by_hand():
    # The longest common sequence is "the cat".
    found = metrics.rouge_l(["the cat sat"], ["the big cat slept there"])
    precision, recall = 2 / 3, 2 / 5
    expected = 200 * precision * recall / (precision + recall)
    assert found == pytest.approx(expected)


def test_rouge_l_options():
    assert metrics.rouge_l(["cats"], ["cat"]) == 0
    assert metrics.rouge_l(["cats"], ["cat"], use_stemmer=True) == 100
    assert metrics.rouge_l(["天气"], ["天气"]) == 0
    assert metrics.rouge_l(["天气"], ["天气"], tokenize=list) == 100


@pytest.mark.parametrize(
    "metric", [metrics.bleu, metrics.chrf, metrics.rouge_l]
)
def test_lists_that_do_not_fit_are_refused(metric):
    with pytest.raises(ValueError, match=r"Received: len\(predictions\)=0"):
        metric([], [])
    with pytest.raises(ValueError, match=r"len\(references\)=1"):
        metric(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="are lists of texts"):
        metric("a", "a")


def test_a_missing_library_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(texts.importlib, "import_module", _fail)
    with pytest.raises(ImportError, match=r"sacrebleu.*\[metrics\]"):
        metrics.bleu(["a"], ["a"])
    with pytest.raises(ImportError, match=r"rouge-score.*\[metrics\]"):
        metrics.rouge_l(["a"], ["a"])


def _fail(name):
    raise ImportError(name)
