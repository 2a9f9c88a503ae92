"""The engine of the interactive page, in Node, against the golden tapes, and how it cuts a text."""

import unicodedata

import pytest
from support.node import needs_node, node

from numpylstm import tape
from numpylstm.data.text import split_punctuation, tokenize

pytestmark = needs_node


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_number_of_the_golden_tape(cell):
    """All except the inputs and parameters, which the engine is given."""
    golden = tape.load(cell)
    found = node("tape", golden=golden, cell=cell)
    grade = tape.grade(found, 1e-12, cell)
    assert not grade.wrong, str(grade)
    assert not grade.not_given, str(grade)


def test_typed_text_is_cut_as_the_package_cuts_it():
    """Also between any two letters: with every 16th ideograph, and nearly all other characters."""
    numbers = (
        *range(0x3400),
        *range(0x3400, 0xD800, 16),
        *range(0xF900, 0x20000),
        *range(0x20000, 0x110000, 16),
    )
    assigned = [chr(n) for n in numbers if unicodedata.category(chr(n)) != "Cn"]
    texts = [
        "It's a list, f([1.5])\n----------\n",
        "2x 3.5e7 __init__ <unk> a<eos>b",
        "x... ¡é! …… {}",
        "o’ve don't’s 4's",
        "½ ² ٣٤ 數 _9 a\u0301b हिन्दी",
        "👩🏽\u200d💻! ❤\ufe0f 🇩🇪🇫🇷 1\ufe0f\u20e3 می\u200cخواهم 👍👍",
        *(f"a{c}b" for c in assigned),
    ]
    found = node("tokenize", texts=texts)
    assert sum(words is not False for words in found) > 0.9 * len(texts)
    for text, words in zip(texts, found, strict=True):
        if words is not False:
            assert words == [tokenize(text), tokenize(split_punctuation(text))], ascii(text)
