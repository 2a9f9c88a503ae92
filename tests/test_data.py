"""From text to token ids and windows, and how bad texts are refused."""

import dataclasses
import gzip
import io
import os
import sys
import tarfile
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bad_calls import assert_refused, bad_call
from support.small import IDS

import numpylstm as nl
from numpylstm import data
from numpylstm.config import TrainConfig
from numpylstm.data import (
    EOS,
    UNK,
    DataError,
    Vocabulary,
    batches,
    minibatches,
    num_batches,
    pad,
)
from numpylstm.data import text as text_module
from numpylstm.data.configured import tokens_like
from numpylstm.errors import either
from numpylstm.levels import LEVELS
from numpylstm.printing import printable

PTB_FILES = {
    "ptb.train.txt": b" the cat sat \n the dog <unk> \n" * 4,
    "ptb.valid.txt": b" the cow sat \n",
    "ptb.test.txt": b" a cat sat \n",
}
fuzz = settings(max_examples=150, deadline=None)


# --- text and tokens ---------------------------------------------------------------------------


def test_words_are_what_white_space_separates_and_a_line_end_is_a_token():
    assert data.tokenize(" no it was n't \n\nyes") == ["no", "it", "was", "n't", EOS, EOS, "yes"]


def test_every_character_is_a_token():
    assert data.tokenize("a b\n", "char") == ["a", " ", "b", "\n"]


def test_punctuation_is_set_apart():
    text = "   It's a list, f([1.5])...\n------------\n\nx**2 != '<unk>' b'ab'\n"
    assert data.split_punctuation(text) == (
        "It's a list , f ( [ 1.5 ] ) ...\n---\n\nx ** 2 ! = ' <unk> ' b ' ab '\n"
    )


@pytest.mark.parametrize(
    "token",
    ["cafe\u0301", "na\u0131\u0308ve's", "हिन्दी", "שָׁלוֹם", "می\u200cخواهم", "क्\u200dष",
     "👩🏽\u200d💻", "❤\ufe0f", "👨\u200d👩\u200d👧", "🇩🇪", "1\ufe0f\u20e3"],
)  # fmt: skip
def test_combining_characters_and_joiners_belong_to_their_token(token):
    assert data.split_punctuation(f"({token}!)") == f"( {token} ! )"


def test_tokens_are_written_as_readable_text():
    text = "A call, f(x[0])..., ends here.\n\nDone: yes."
    tokens = data.tokenize(data.split_punctuation(text))
    assert data.detokenize(tokens) == text.replace("f(x[0])", "f (x [0])")
    assert data.detokenize(["a", "\n", UNK], "char") == "a\n<unk>"
    assert data.detokenize(["a", "b"], after="The") == " a b"
    assert data.detokenize(["a", "b"], after="The ") == "a b"
    assert data.detokenize([",", "b"], after="The") == ", b"
    assert data.detokenize(["a"], after="f (") == data.detokenize(["a"], after="f(") == "a"
    assert data.detokenize(["a", "mr.", "", ".5", "."]) == "a mr. .5."
    assert data.detokenize(["a", "", "b"]) == "a b"


@fuzz
@given(st.text() | st.text(alphabet=".,'’s(<>unkeo \n1a-*[]"))
def test_fuzz_words_survive_writing(text):
    tokens = data.tokenize(data.split_punctuation(text))
    assert data.tokenize(data.split_punctuation(data.detokenize(tokens))) == tokens


@fuzz
@given(st.text())
def test_fuzz_nothing_but_white_space_is_lost(text):
    # Ordinary runs (up to three marks) are kept whole, longer ones are cut.
    kept = "".join(data.split_punctuation(text).split())
    assert kept == "".join(text.split()) or any(4 * mark in text for mark in set(text))


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\r\nb\r\n", "a\nb\n"),
        (b"a\rb\r", "a\nb\n"),
        (b"\xef\xbb\xbfa\n", "a\n"),
        ("naïve ☃ 𝄞\n".encode(), "naïve ☃ 𝄞\n"),
    ],
    ids=["windows", "old mac", "byte order mark", "unicode"],
)
def test_bytes_that_are_text(raw, text, tmp_path):
    (tmp_path / "x.txt").write_bytes(raw)
    assert data.read_text(tmp_path / "x.txt") == text


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"\xef\xbb\xbfab\xff", "x.txt: must be UTF-8 text, got byte 0xff at byte 5"),
        ("ab".encode("utf-16"), "x.txt: must be UTF-8 text, got a NUL at byte 3; .* UTF-16"),
    ],
    ids=["after a byte order mark", "utf-16"],
)
def test_bytes_that_are_not_text(raw, sentence):
    with pytest.raises(DataError, match=f"^{sentence}"):
        data.decode_text(raw, "x.txt")


@pytest.mark.parametrize(
    ("text", "line", "lines"),
    [
        ("žemė 中文 \U0001f40d", "žemė 中文 \U0001f40d", "žemė 中文 \U0001f40d"),
        ("a\nb\tc", "a\\nb\\tc", "a\nb\tc"),
        ("\x1b[2J\x1b]0;x\x07", "\\x1b[2J\\x1b]0;x\\x07", "\\x1b[2J\\x1b]0;x\\x07"),
        ("\x9b31m\x85\x7f\r\b", "\\x9b31m\\x85\\x7f\\r\\x08", "\\x9b31m\\x85\\x7f\\r\\x08"),
        ("\u202e\u2066\u2028", "\\u202e\\u2066\\u2028", "\\u202e\\u2066\\u2028"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("\udcff", "\\udcff", "\\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_written_as_escapes(text, line, lines):
    assert printable(text) == line
    assert printable(text, lines=True) == lines


@pytest.mark.parametrize("name", [".", "nul\0name"])
def test_a_file_that_cannot_be_read(name, tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path.name}.*: must be a readable file, got "):
        data.read_text(f"{tmp_path}/{name}")


@pytest.mark.parametrize("stdin", [None, Mock(isatty=lambda: True)], ids=["none", "a terminal"])
def test_standard_input_without_a_text(stdin, monkeypatch):
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(DataError, match="-: standard input must be a text, got a terminal"):
        data.load_text("-")


def test_what_is_too_long_for_a_message():
    assert text_module.named([*"abc"]) == "a, b, c"
    assert text_module.named([*"abcd"]) == "a and 3 more"


@given(raw=st.binary(max_size=400), level=st.sampled_from([*LEVELS]))
def test_fuzz_a_file_becomes_a_corpus_or_one_sentence(raw, level, tmp_path_factory):
    """From bytes to ids."""
    path = tmp_path_factory.getbasetemp() / "fuzz.txt"
    path.write_bytes(raw)
    try:
        corpus = data.load_text(path, level=level)
    except DataError as refused:
        said = str(refused)
    else:
        ids = np.concatenate([corpus.train, corpus.valid, corpus.test])
        said = f"{path}" if 0 <= ids.min() <= ids.max() < len(corpus.vocabulary) else "ids!"
    assert str(path) in said
    assert "\n" not in said


# --- vocabulary --------------------------------------------------------------------------------


def test_tokens_are_in_order_of_frequency_then_of_the_alphabet():
    vocabulary = Vocabulary.build(data.tokenize("b b b d d c c a e <unk> <unk>"))
    assert vocabulary.tokens == ("b", "<unk>", "c", "d", "a", "e")
    assert vocabulary["b"] == 0
    assert vocabulary.unk_id == vocabulary[UNK] == 1
    assert len(vocabulary) == 6
    assert list(vocabulary) == list(vocabulary.tokens)
    assert "a" in vocabulary
    assert "z" not in vocabulary
    with pytest.raises(KeyError):
        vocabulary["z"]


def test_unk_is_always_there_with_the_count_it_has():
    # "~" sorts after "<unk>" and "!" before it, so a count of 0 puts <unk> last.
    assert Vocabulary.build(["~", "!"]).tokens == ("!", "~", UNK)
    assert Vocabulary.build([]).tokens == (UNK,)


def test_largest_size_counts_unk_which_takes_the_rank_of_what_it_stands_for():
    text = data.tokenize("a a a a b b b c c d e")
    assert Vocabulary.build(text, 4).tokens == ("a", "b", UNK, "c")  # 4 3 2 2
    assert Vocabulary.build(text, 2).tokens == (UNK, "a")  # 7 4
    assert Vocabulary.build(text, 100) == Vocabulary.build(text)
    assert Vocabulary.build([*text, UNK, UNK], 4).tokens == (UNK, "a", "b", "c")  # 4 4 3 2


@fuzz
@given(st.lists(st.sampled_from([*"abcdefg", UNK])), st.integers(2, 9))
def test_fuzz_a_cut_vocabulary_is_in_the_order_of_the_text_it_makes(tokens, max_size):
    vocabulary = Vocabulary.build(tokens, max_size)
    read = vocabulary.decode(vocabulary.encode(tokens)[0])
    assert len(vocabulary) <= max_size
    assert vocabulary == Vocabulary.build(read)


def test_unknown_tokens_become_unk_and_are_counted():
    vocabulary = Vocabulary(("a", UNK, "b"))
    tokens = data.tokenize("a z <unk> b y z")
    ids, oov = vocabulary.encode(tokens)
    assert ids.dtype == np.int32
    assert ids.tolist() == [0, 1, 1, 2, 1, 1]
    assert oov == 3  # an <unk> in the text is a token like others
    assert vocabulary.unknown(tokens) == ["z", "y"]
    assert vocabulary.decode(ids) == ["a", UNK, UNK, "b", UNK, UNK]
    assert vocabulary.decode(ids.reshape(2, 3)) == vocabulary.decode(ids)
    assert vocabulary.encode([])[0].shape == (0,)


def test_a_vocabulary_is_a_value():
    vocabulary = Vocabulary(("a", UNK))
    assert vocabulary == Vocabulary(["a", UNK])
    assert hash(vocabulary) == hash(Vocabulary(["a", UNK]))
    assert vocabulary != Vocabulary((UNK, "a"))
    assert repr(vocabulary) == "<Vocabulary of 2: ('a', '<unk>')>"
    with pytest.raises(dataclasses.FrozenInstanceError):
        vocabulary.tokens = ()


# --- any text ----------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def numbers(start, stop):
    return " ".join(map(str, range(start, stop)))


def words(corpus, split):
    return corpus.vocabulary.decode(getattr(corpus, split))


def test_one_file_is_split_90_5_5_in_order(write):
    corpus = data.load_text(write("all.txt", numbers(0, 109)))
    assert corpus.num_tokens == {"train": 99, "valid": 5, "test": 5}
    assert words(corpus, "train") == list(map(str, sorted(range(99))))
    assert corpus.oov == {"train": 0, "valid": 5, "test": 5}
    assert corpus.level == "word"


def test_a_split_without_a_file_is_cut_from_the_end_of_the_training_file(write):
    train, other = write("train.txt", "a b " * 19 + "b b\n"), write("other.txt", "b a z\n")
    corpus = data.load_text(train, valid=other)
    assert words(corpus, "train") == ["a", "b"] * 19 + ["b"]
    assert words(corpus, "valid") == ["b", "a", UNK, UNK]
    assert words(corpus, "test") == ["b", UNK]  # EOS, which the training split lacks
    assert corpus.oov == {"train": 0, "valid": 2, "test": 1}
    corpus = data.load_text(train, test=other)
    assert words(corpus, "valid") == ["b", UNK]
    assert words(corpus, "test") == ["b", "a", UNK, UNK]


def test_three_files_are_taken_as_they_are(write):
    files = [write(f"{split}.txt", f"a {split}\n") for split in data.SPLITS]
    corpus = data.load_text(*files)
    assert words(corpus, "train") == ["a", "train", EOS]
    assert words(corpus, "test") == ["a", UNK, EOS]
    assert corpus.train.dtype == np.int32
    assert str(data.load_text(*(iter([file]) for file in files))) == str(corpus)
    assert corpus.held_out == f"valid: {files[1]}; test: {files[2]}"


def test_every_file_is_cut_in_the_same_proportions(write, tmp_path):
    """So two files in two languages are both in all three splits."""
    write("de.txt", "a b c d e f g h i j " * 4)
    write("en.txt", "k l m n o p q r s t " * 4)
    for paths in tmp_path, [tmp_path / "de.txt", tmp_path / "en.txt"]:
        corpus = data.load_text(paths)
        assert words(corpus, "valid") == ["h", "i", "q", "r"]
        assert words(corpus, "test") == ["j", UNK, "s", "t"]  # the line end between the files
        assert corpus.held_out.startswith("valid 90 % to 95 %, test 95 % to 100 % of each of the 2")
    short = write("short.txt", "z " * 19)  # for training only
    assert data.load_text(tmp_path).num_tokens == corpus.num_tokens | {"train": 37 + 37 + 19}
    short.unlink()
    corpus = data.load_text(tmp_path, valid=tmp_path / "de.txt")
    assert words(corpus, "test") == ["j", UNK, "s", "t"]
    assert "test 95 % to 100 % of each" in corpus.held_out


def test_a_text_read_with_the_vocabulary_of_another(write):
    vocabulary = Vocabulary(("x", UNK, "a"))
    files = [write(f"{split}.txt", "a b a x") for split in data.SPLITS]
    corpus = data.load_text(*files, vocabulary=vocabulary, max_vocab=2)
    assert corpus.vocabulary is vocabulary
    assert corpus.test.tolist() == [2, 1, 2, 0]
    assert corpus.oov == {"train": 1, "valid": 1, "test": 1}


def test_characters(write):
    corpus = data.load_text(
        write("a.txt", "ab\nba\n"), write("b.txt", "b☃"), write("c.txt", "a\n"), level="char"
    )
    assert corpus.vocabulary.tokens == ("\n", "a", "b", UNK)
    assert corpus.train.tolist() == [1, 2, 0, 2, 1, 0]
    assert corpus.valid.tolist() == [2, 3]
    assert corpus.oov["valid"] == 1


def test_a_corpus_describes_itself_in_a_line(write):
    file = write("a.txt", numbers(0, 1000))
    assert str(data.load_text(file)) == (
        f"{file}: words train 900, valid 50, test 50; vocabulary 901; "
        "out of it, read as <unk>: train 0, valid 50, test 50"
    )
    cut = str(data.load_text(file, max_eval=2))
    assert cut.endswith("; left out at the end: train 0, valid 48, test 48")


@pytest.mark.parametrize("level", data.LEVELS)
def test_a_long_text_keeps_its_words_and_line_ends(level, write):
    text = "ab\x0bcd ef\u2028gh\n ij\n\n" * 8_000
    assert text[65_535:65_537] == "ab"  # the end of a piece
    file = write("a.txt", text)
    corpus = data.load_text(file, file, file, level=level)
    assert words(corpus, "train") == data.tokenize(text, level)


@pytest.mark.parametrize(
    ("settings", "tokens", "expected"),
    [({}, "a .", ["a", "."]), ({}, "a mr.", ["a."]), ({"level": "char"}, "a .", ["a", "."]),
     ({"train": "x"}, "a .", ["a."]), ({"data": "x"}, "a .", ["a."]),
     ({"train": "x", "split_punctuation": True}, "a mr.", ["a", "."])],
)  # fmt: skip
def test_another_text_is_split_as_that_of_the_run(settings, tokens, expected):
    """Without the name of a text, the run is of the demo, or of a model whose words tell."""
    vocabulary = data.Vocabulary.build(tokens.split())
    assert tokens_like(TrainConfig(**settings), vocabulary, "a.") == expected


def test_texts_that_are_too_short(write):
    short, empty, good = write("s.txt", numbers(0, 39)), write("e.txt", ""), write("g.txt", "a b")
    with pytest.raises(
        DataError,
        match=r"s.txt: the valid split must hold at least 2 tokens, got "
        r"1 at word level; it is one token in 20 of each file",
    ):
        data.load_text(short)
    assert data.load_text(write("l.txt", numbers(0, 40))).num_tokens["test"] == 2
    with pytest.raises(DataError, match=r"e.txt: the train split must hold at least 2"):
        data.load_text(empty)
    with pytest.raises(DataError, match=r"e.txt: the test split must hold .* got 0 .*empty\?$"):
        data.load_text(good, good, empty)


# --- Penn Treebank -----------------------------------------------------------------------------


@pytest.mark.skipif(
    "NUMPYLSTM_PTB" not in os.environ,
    reason="NUMPYLSTM_PTB names no folder with Penn Treebank",
)
def test_penn_treebank_is_that_of_the_tutorial():
    ptb = data.load_ptb(os.environ["NUMPYLSTM_PTB"])
    assert ptb.num_tokens == {"train": 929_589, "valid": 73_760, "test": 82_430}
    assert len(ptb.vocabulary) == 10_000
    assert ptb.train[:5].tolist() == [9970, 9971, 9972, 9974, 9975]
    assert ptb.vocabulary["write-off"] == 7229
    assert ptb.vocabulary["ports"] == 8314
    assert ptb.vocabulary.tokens[:4] == ("the", UNK, EOS, "N")
    assert ptb.oov == {"train": 0, "valid": 0, "test": 0}


def check_small_ptb(path):
    corpus = data.load_ptb(path)
    assert corpus.vocabulary.tokens == (EOS, "the", UNK, "cat", "dog", "sat")
    assert words(corpus, "test") == [UNK, "cat", "sat", EOS]
    assert corpus.oov == {"train": 0, "valid": 1, "test": 1}


@pytest.mark.parametrize("inside", [".", "simple-examples/data", "data"])
def test_folders(inside, tmp_path):
    folder = tmp_path / inside
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in PTB_FILES.items():
        (folder / name).write_bytes(raw)
    check_small_ptb(tmp_path)
    (folder / "ptb.valid.txt").unlink()
    with pytest.raises(
        DataError, match=r"must hold ptb.train.txt, .*, got a folder that lacks one"
    ):
        data.load_ptb(tmp_path)


ARCHIVE = {f"simple-examples/data/{name}": raw for name, raw in PTB_FILES.items()}
ARCHIVE["simple-examples/xdata/ptb.train.txt"] = b"another file"


def tar_bytes(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, raw in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return out.getvalue()


@pytest.fixture
def tgz(tmp_path):
    path = tmp_path / "simple-examples.tgz"

    def write(raw):
        path.write_bytes(gzip.compress(raw, 1))
        return path

    return write


def test_archive_is_read_in_place(tgz, tmp_path):
    check_small_ptb(tgz(tar_bytes(ARCHIVE)))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (None, "simple-examples.tgz: must hold .*, got no data/ptb.test.txt;"),
        (b"\xff", r"tgz \(data/ptb.test.txt\): must be UTF-8 text, got"),
    ],
    ids=["a missing file", "no text"],
)
def test_archives_that_are_refused(raw, sentence, tgz):
    files = {name: raw if "test" in name else good for name, good in ARCHIVE.items()}
    files = {name: content for name, content in files.items() if content is not None}
    with pytest.raises(DataError, match=sentence):
        data.load_ptb(tgz(tar_bytes(files)))


def test_damaged_archives(tgz):
    path = tgz(tar_bytes(ARCHIVE))
    whole = path.read_bytes()
    no_checksum = whole[:-8] + bytes(8)
    for raw in (b"", whole[:-1], gzip.compress(b"hello"), no_checksum):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=r"^[^\n]*simple-examples.tgz: must [^\n]*$"):
            data.load_ptb(path)


# --- the embedded corpus -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedded():
    pytest.importorskip("pydoc_data.topics", reason="this Python was stripped of its reference")
    return data.load_embedded()


def test_every_word_of_the_embedded_text_is_split_already(embedded):
    words = " ".join(embedded.vocabulary)
    assert data.split_punctuation(words) == words


def paragraphs(corpus, split):
    text = data.detokenize(words(corpus, split))
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]


def test_no_paragraph_of_one_split_is_in_another(embedded):
    train, valid, test = (set(paragraphs(embedded, split)) for split in data.SPLITS)
    assert len(valid) > 50
    assert len(test) > 50
    assert not train & valid
    assert not train & test
    assert not valid & test


def test_of_20_blocks_of_2000_characters_two_are_held_out(monkeypatch):
    """Blocks of two paragraphs here; the topics come in the order of the alphabet."""
    paragraphs = [f"{n:998}\n\n" for n in range(80)]
    topics = {"b": "".join(paragraphs[50:]), "a": "".join(paragraphs[:50])}
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", SimpleNamespace(topics=topics))
    texts = data.read_embedded()
    assert texts["valid"] == "".join(paragraphs[18:20] + paragraphs[58:60])
    assert texts["test"] == "".join(paragraphs[38:40] + paragraphs[78:80])
    assert sum(map(len, texts.values())) == 80_000


def test_the_embedded_corpus_in_other_tokens(embedded):
    cut = data.load_embedded(max_vocab=3000)
    assert (len(cut.vocabulary), cut.num_tokens) == (3000, embedded.num_tokens)
    assert cut.oov["train"] > embedded.oov["train"] == 0
    text = data.detokenize(words(data.load_embedded(level="char"), "test"), "char")
    assert text == data.read_embedded()["test"]


def test_a_python_without_its_reference(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match=r"^pydoc_data.topics: must hold .* a text of your own$"):
        data.load_embedded()


# --- sequences ---------------------------------------------------------------------------------


def test_sequences_side_by_side(rng):
    vectors = [rng.standard_normal((n, 2)).astype("f4") for n in (3, 0, 5)]
    x, lengths = pad(vectors)
    assert (x.shape, x.dtype, lengths.tolist()) == ((5, 3, 2), np.float32, [3, 0, 5])
    for n, one in enumerate(vectors):
        np.testing.assert_array_equal(x[: len(one), n], one)
        assert not x[len(one) :, n].any()
    ids, lengths = pad([[], [7, 8], np.array([9])])
    assert (ids.tolist(), ids.dtype, lengths.tolist()) == ([[0, 7, 9], [0, 8, 0]], int, [0, 2, 1])


@pytest.mark.parametrize("every_step", [False, True])
def test_every_sequence_is_in_one_minibatch(rng, every_step):
    T, N, D = 6, 11, 2
    x, lengths = rng.standard_normal((T, N, D)), rng.integers(0, T + 1, N)
    y, weights = rng.random((2, T, N) if every_step else (2, N))
    met = []
    for batch in minibatches(x, y, lengths, 4, np.random.default_rng(1), weights):
        some = [np.flatnonzero((x[0] == column).all(axis=1))[0] for column in batch[0][0]]
        steps = max(1, lengths[some].max())
        own = np.s_[:steps, some] if every_step else some
        for got, want in zip(
            batch, (x[:steps, some], y[own], lengths[some], weights[own]), strict=True
        ):
            np.testing.assert_array_equal(got, want)
        met.append(some)
    assert [len(some) for some in met] == [4, 4, 3]
    order = [n for some in met for n in some]
    assert sorted(order) == list(range(N)) != order
    assert [len(batch) for batch in minibatches(x, y, size=20)] == [2]
    ((_, _, ends, _),) = minibatches(x, y, weights=weights)
    assert ends is None


# --- batches -----------------------------------------------------------------------------------


@fuzz
@given(st.integers(2, 60), st.integers(1, 6), st.integers(1, 9), st.booleans())
def test_fuzz_windows(num_tokens, batch_size, num_steps, keep_last):
    length = num_tokens // batch_size
    expected = length > 1 if keep_last else length > num_steps
    ids = np.arange(num_tokens, dtype=np.int32)
    if not expected:
        with pytest.raises(ValueError, match="need at least"):
            batches(ids, batch_size, num_steps, keep_last=keep_last)
        return
    windows = list(batches(ids, batch_size, num_steps, keep_last=keep_last))
    count = num_batches(num_tokens, batch_size, num_steps, keep_last=keep_last)
    assert len(windows) == count
    assert count == ((length - 2) // num_steps + 1 if keep_last else (length - 1) // num_steps)
    for k, (x, y) in enumerate(windows):
        assert x.shape == y.shape
        assert x.shape[1] == batch_size
        assert len(x) == num_steps or (keep_last and k == count - 1)
        assert x.flags.c_contiguous
        assert y.flags.c_contiguous
        assert x.dtype == ids.dtype
        np.testing.assert_array_equal(x[0], np.arange(batch_size) * length + k * num_steps)
        np.testing.assert_array_equal(y, x + 1)
    for start in range(count + 1):
        later = list(batches(ids, batch_size, num_steps, keep_last=keep_last, start=start))
        np.testing.assert_equal(later, windows[start:])


def test_a_window_may_be_changed_and_nothing_else_changes():
    ids = np.arange(20)
    ids.flags.writeable = False
    for batch_size in (1, 2):
        expected = list(batches(ids, batch_size, 3))
        for (x, y), window in zip(batches(ids, batch_size, 3), expected, strict=True):
            x[1:] = -1  # words are dropped from the inputs only
            np.testing.assert_array_equal(x[0], window[0][0])
            np.testing.assert_array_equal(y, window[1])
            y[:] = -1


@fuzz
@given(st.integers(12, 60), st.integers(1, 4), st.integers(1, 2), st.integers(0, 99))
def test_each_stream_begins_at_a_step_that_is_drawn(num_tokens, batch_size, num_steps, seed):
    """Every stream is read in its order, once around; the windows that are left are the same."""
    ids = np.arange(num_tokens, dtype=np.int32)
    windows = list(batches(ids, batch_size, num_steps, rng=seed))
    assert len(windows) == num_batches(num_tokens, batch_size, num_steps)
    length = num_tokens // batch_size
    x, y = (np.concatenate(part) for part in zip(*windows, strict=True))  # (steps, B)
    streams = np.arange(batch_size)
    for part in (x, y):
        assert (part // length == streams).all()
    np.testing.assert_array_equal(y % length, (x + 1 - streams * length) % length)
    np.testing.assert_array_equal(x[1:], y[:-1])
    assert x.dtype == ids.dtype
    later = list(batches(ids, batch_size, num_steps, start=1, rng=seed))
    np.testing.assert_equal(later, windows[1:])


def test_the_first_steps_of_streams_are_drawn_evenly_and_apart():
    rng = np.random.default_rng(0)
    first = np.array([next(batches(range(700), 7, 3, rng=rng))[0][0] for _ in range(400)]) % 100
    counts = np.array([np.bincount(steps // 10, minlength=10) for steps in first.T])  # (7, 10)
    assert counts.min() > 20  # of 40 expected
    assert counts.max() < 65
    assert abs(np.corrcoef(first.T) - np.eye(7)).max() < 0.2


# --- bad calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(lambda: nl.data.detokenize([1, 2]), "tokens must be strings, got int", TypeError),
        bad_call(
            lambda: nl.Vocabulary(["the", "cat", "<unk>"]).encode("the cat"),
            "got the text 'the cat'; nl.data.tokenize(text) makes words of it, and list(",
            TypeError,
        ),
        bad_call(
            lambda: nl.Vocabulary("abc"),
            "^Vocabulary: tokens must be a list of strings, got one string",
            TypeError,
        ),
        bad_call(
            lambda: nl.Vocabulary(["a", 3, "<unk>"]),
            "^Vocabulary: tokens must be strings, got int at index 1",
            TypeError,
        ),
        bad_call(
            lambda: nl.Vocabulary(["a", "", "<unk>"]),
            "^Vocabulary: tokens must not be empty, got '' at index 1",
        ),
        bad_call(
            lambda: nl.Vocabulary(["a", "b", "<unk>", "b"]),
            "^Vocabulary: tokens must be distinct, got 'b' at index 1 and again at index 3",
        ),
        bad_call(lambda: nl.Vocabulary(("a",)), "tokens must contain '<unk>'"),
        bad_call(
            lambda: nl.Vocabulary.build(["a"], 1),
            "max_size must be at least 2, since <unk> and one more token have to fit; got 1",
        ),
        bad_call(
            lambda: nl.Vocabulary.build(["a"], 4.0),
            "max_size must be a whole number, got 4.0",
            TypeError,
        ),
        bad_call(lambda: nl.data.load_text([]), "no file is named; does the pattern match any?"),
        bad_call(lambda: nl.data.pad([]), "pad: sequences must hold at least one step, got none"),
        bad_call(
            lambda: nl.data.pad({"a": [1]}),
            "sequences must be a list of sequences, got dict",
            TypeError,
        ),
        bad_call(lambda: nl.data.pad([[1], 2]), "sequences[1] must have shape (T), got ()"),
        bad_call(
            lambda: nl.data.pad([[[1, 2]], [1]]), "sequences[1] must have shape (T, 2), got (1,)"
        ),
        bad_call(
            lambda: nl.data.pad([["a"]]), "sequences[0] must hold real numbers, got <U1", TypeError
        ),
        bad_call(
            lambda: nl.data.minibatches([1, 2], [1, 2]),
            "x must have shape (T, N) or (T, N, D), got (2,)",
        ),
        bad_call(
            lambda: nl.data.minibatches([[1, 2]] * 3, [1] * 3),
            "y must begin with the shape (2,) or (3, 2), that of x, got shape (3,); "
            "time comes first",
        ),
        bad_call(
            lambda: nl.data.minibatches([[1, 2]] * 3, [1, 2], weights=[1]),
            "weights must begin with the shape",
        ),
        bad_call(
            lambda: nl.data.minibatches([[1, 2]] * 3, [1, 2], [4, 1]),
            "lengths must lie in [0, 3], got 4",
        ),
        bad_call(
            lambda: nl.data.minibatches([[1, 2]], [1, 2], size=0), "size must be at least 1, got 0"
        ),
        # at once, and not with the first window
        bad_call(
            lambda: nl.data.batches(np.arange(9.0), 2, 2),
            "batches: ids must have an integer dtype, got float64",
            TypeError,
        ),
        bad_call(
            lambda: nl.data.batches(np.ones((3, 3), int), 2, 2),
            "ids must have shape (N,), got (3, 3)",
        ),
        bad_call(
            lambda: nl.data.batches(IDS, 0, 2), "batches: batch_size must be at least 1, got 0"
        ),
        bad_call(
            lambda: nl.data.batches(IDS, 2, 2.0),
            "num_steps must be a whole number, got 2.0",
            TypeError,
        ),
        bad_call(
            lambda: nl.data.batches(IDS[:18], 2, 2, start=5),
            "start must be from 0 to 4, the number of windows; got 5",
        ),
        bad_call(
            lambda: nl.data.batches(IDS[:18], 10, 2, keep_last=True),
            "10 streams (batch_size) with a window of 1 need at least 20 tokens",
        ),
        bad_call(
            lambda: nl.data.batches(IDS[:18], 2, 2, rng=-1),
            "rng must be a Generator, a whole number from 0",
        ),
        bad_call(lambda: nl.data.num_batches(0, 2, 3), "need at least 8 tokens, got 0"),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda text: nl.data.load_text(text, max_eval=0), "max_eval must be at least 2, got 0"
        ),
        bad_call(
            lambda text: nl.data.load_text(text, vocabulary=["a"]),
            "must be a Vocabulary, got",
            TypeError,
        ),
        bad_call(
            lambda text: nl.data.load_text(text, level="rune"), f"level must be {either(LEVELS)}"
        ),
    ],
)
def test_a_bad_call_with_a_text_gets_one_sentence(call, says, error, write):
    text = write("text.txt", numbers(0, 100))
    assert_refused(partial(call, text), says, error)


class Column:
    """A column of a table, such as pandas has them: it can be read, and is no Sequence."""

    def __init__(self, entries):
        self.entries = entries

    def __iter__(self):
        return iter(self.entries)

    def __len__(self):
        return len(self.entries)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.entries, dtype)


def test_sequences_to_pad_may_come_in_any_container():
    sequences = [[3, 1, 4], [1, 5], []]
    objects = np.empty(3, object)
    objects[:] = sequences
    arrays = [np.array(one, object) for one in sequences]
    want, want_lengths = data.pad(sequences)
    columns = [Column(one) for one in sequences]
    for container in (objects, arrays, Column(sequences), columns, iter(sequences)):
        x, lengths = data.pad(container)
        np.testing.assert_array_equal(x, want)
        np.testing.assert_array_equal(lengths, want_lengths)
    vectors = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]
    assert data.pad(vectors)[0].shape == (2, 2, 2)
    ragged = np.empty(2, object)
    ragged[:] = [np.array(one) for one in vectors]
    np.testing.assert_array_equal(data.pad(ragged)[0], data.pad(vectors)[0])
