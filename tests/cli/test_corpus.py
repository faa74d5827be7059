import gzip

import pytest

from keras_bigmodel.cli import corpus

pytestmark = pytest.mark.tensorflow

PARAGRAPH = "A paragraph that is long enough to count as one, number {}."


def document(first, last):
    return "\n\n".join(PARAGRAPH.format(i) for i in range(first, last))


def test_python_documentation_is_split_by_document():
    found = corpus.load_corpus()
    topics = corpus.python_documentation()
    train, held_out = map(corpus.num_bytes, (found.train, found.held_out))
    assert corpus.num_bytes(topics) == train + held_out + found.repeated_bytes
    assert 0.08 < held_out / (train + held_out) <= 0.1
    assert found.repeated_bytes > 50_000
    # Whatever stands in both is short: a title, a lone word.
    paragraphs = [
        {" ".join(p.split()) for text in texts for p in text.split("\n\n")}
        for texts in (found.train, found.held_out)
    ]
    assert max(map(len, paragraphs[0] & paragraphs[1])) < 40
    assert corpus.load_corpus() == found


def test_folder_of_texts(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.md").write_text("一二三\n", "utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbfwith a mark")
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(b"packed"))
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / ".hidden").write_bytes(b"\xff")
    assert corpus.read_documents(tmp_path) == [
        "one",
        "two",
        "with a mark",
        "packed",
        "一二三\n",
    ]


def test_one_long_file_is_cut_into_passages(tmp_path):
    file = tmp_path / "book.txt"
    text = document(0, 700)
    file.write_text(text)
    found = corpus.load_corpus(file)
    assert found.name == str(file)
    assert len(found.held_out) > 3
    assert sorted("".join(found.train + found.held_out)) == sorted(text)
    assert all(p.startswith("A paragraph") for p in found.held_out)


def test_passages_end_at_empty_lines_lines_or_characters():
    text = "a\nb\n\nc\nd\n\n\ne"
    assert corpus.passages(text, 5) == ["a\nb\n\n", "c\nd\n\n", "\ne"]
    assert corpus.passages("ab\ncd\nef", 2) == ["ab\n", "cd\n", "ef"]
    assert corpus.passages("一二三", 3) == ["一", "二", "三"]
    assert corpus.passages("short", 5) == ["short"]


def test_repeated_paragraphs_are_kept_once():
    first, second = document(0, 3), document(2, 5).replace(" ", "\n  ")
    kept = corpus.without_repetitions([first, second, first, "Note\n\nNote"])
    assert kept[0] == first
    assert kept[1] == second.split("\n\n", 1)[1]
    assert kept[2:] == ["Note\n\nNote"]


def test_split_never_holds_out_more_than_is_wanted():
    documents = ["x" * 500, *("y" * 10 for _ in range(50))]
    train, held_out = corpus.split(documents, 35)
    assert corpus.num_bytes(held_out) == 30
    assert sorted(train + held_out) == sorted(documents)


def test_uneven_documents_are_cut_too(tmp_path):
    (tmp_path / "long").write_text(document(0, 700))
    for i in range(30):
        (tmp_path / f"short{i}").write_text(f"note {i}")
    found = corpus.load_corpus(tmp_path)
    train, held_out = map(corpus.num_bytes, (found.train, found.held_out))
    assert 0.07 < held_out / (train + held_out) <= 0.1


def test_compressors_see_every_byte():
    found = corpus.compressed_bits_per_byte(["é" * 5000, "x" * 1000])
    assert set(found) == {"gzip -9", "xz -9"}
    assert all(0 < bits < 0.2 for bits in found.values())
    one = corpus.compressed_bits_per_byte(["a"])["gzip -9"]
    assert one == 8 * len(gzip.compress(b"a", 9))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "There is no text in it. Received: path="),
        (b" \n", "There is no text in it. Received: path="),
        (b"abc\xff", "not UTF-8.*Received: path=.*byte at offset 3"),
        (b"short", "too little text.*Received: .*with 5 bytes"),
        (b"again and again and again and again, again\n\n" * 999, "too little"),
    ],
)
def test_bad_text_is_refused(tmp_path, content, message):
    file = tmp_path / "text"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        corpus.load_corpus(file)


def test_missing_path_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file or folder. Received"):
        corpus.load_corpus(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="There is no text in it. Received"):
        corpus.load_corpus(tmp_path)
