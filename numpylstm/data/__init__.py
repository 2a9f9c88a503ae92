"""Text in, token ids out: vocabularies, corpora and time-major batches.

The path of a text::

    file --read_text--> str --tokenize--> tokens --Vocabulary.encode--> ids (N,) int32
                                                                           |
                                                x, y (T, B) <---batches----+

The first two steps are in `numpylstm.data.text`, ids in `vocabulary.py`, windows in `windows.py`.
Sequences that are no text are the subject of `sequences.py`: `pad` and `minibatches`.
Three loaders do all of it and return a `Corpus`: `load_ptb` (Penn Treebank), `load_text` (any UTF-8
text) and `load_embedded` (the language reference inside every Python); `configured.py` chooses
among them by the settings of a run. A file that cannot be used raises `DataError`.
"""

from numpylstm.data.corpus import Corpus, load_embedded, load_ptb, load_text
from numpylstm.data.sequences import minibatches, pad
from numpylstm.data.text import (
    SPLITS,
    UNK,
    DataError,
    decode_text,
    detokenize,
    read_embedded,
    read_ptb,
    read_text,
    split_punctuation,
    tokenize,
)
from numpylstm.data.vocabulary import Vocabulary
from numpylstm.data.windows import batches, num_batches
from numpylstm.levels import EOS, LEVELS

__all__ = [
    "EOS",
    "LEVELS",
    "SPLITS",
    "UNK",
    "Corpus",
    "DataError",
    "Vocabulary",
    "batches",
    "decode_text",
    "detokenize",
    "load_embedded",
    "load_ptb",
    "load_text",
    "minibatches",
    "num_batches",
    "pad",
    "read_embedded",
    "read_ptb",
    "read_text",
    "split_punctuation",
    "tokenize",
]
