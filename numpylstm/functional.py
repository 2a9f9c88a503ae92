"""Temporary: checks nothing, delegates to the reference. The fast path replaces it piece by piece."""

from numpylstm.reference import (  # noqa: F401
    CrossEntropyCache, DropoutCache, EmbeddingCache, LinearCache, LSTMCache, RNNCache,
    dropout_backward, dropout_forward, embedding_backward, embedding_forward, linear_backward,
    linear_forward, lstm_backward, lstm_forward, rnn_backward, rnn_forward,
    sequence_cross_entropy_backward, sequence_cross_entropy_forward,
)  # fmt: skip
