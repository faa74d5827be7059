import pytest

from keras_bigmodel.generation import regular_expression


@pytest.mark.parametrize(
    ("text", "passes", "fails"),
    [
        (r"\d", "07", "a²"),
        (r"\D", "a", "0"),
        (r"[a-c\d_]", "abc5_", "d-"),
        (r"[^a-c]", "d-", "b"),
        (r"[]x]", "]x", "["),
        (r"[a-]", "a-", "b"),
        (r"[\]\n]", "]\n", "n"),
        (r"\.", ".", "a"),
        (r"\n", "\n", "n"),
        (".", "a猫", "\n"),
    ],
)
def test_characters(text, passes, fails):
    tree = regular_expression.parse(text)
    (character,) = tree.parts
    assert all(character.test(c) for c in passes)
    assert not any(character.test(c) for c in fails)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "not closed"),
        ("a)", "not opened"),
        ("[a", "ends too early"),
        ("a{2", "missing"),
        ("a{x}", "form {m,n}"),
        ("a{3,2}", "from 0 to 1000"),
        ("a{1001}", "from 0 to 1000"),
        ("a**", "follows another"),
        ("*a", "means nothing"),
        ("^a$", "means nothing"),
        ("(?=a)", "only"),
        (r"\b", "not known"),
        (r"\1", "not known"),
        ("[z-a]", "backwards"),
        ("(" * 60 + ")" * 60, "too deeply"),
        ("\\", "ends too early"),
    ],
)
def test_what_is_no_expression_is_refused(pattern, message):
    with pytest.raises(ValueError, match=f"{message}.*Received: pattern="):
        regular_expression.parse(pattern)
