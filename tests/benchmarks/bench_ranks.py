"""Time of an update on several MPI ranks, and the bytes that each rank sends, by the formula too.

    mpiexec -n 2 python tests/benchmarks/bench_ranks.py --threads 1 small medium
    python tests/benchmarks/bench_ranks.py --threads 2 small medium

The text is random, with the frequencies of words. The formula is on the page
"Run experiments in parallel" (``docs/how-to/parallel.md``).
"""

import argparse
import time
from dataclasses import replace
from statistics import median

import numpy as np

import numpylstm as nl
from numpylstm.training.parallel import connect

V = 10_000


class Counted:
    """A communicator that counts the bytes of this rank's messages, without those to itself."""

    def __init__(self, comm):
        self.comm, self.sent = comm, 0

    def Iallgather(self, send, receive):
        self.sent += send.nbytes * (self.comm.size - 1)
        return self.comm.Iallgather(send, receive)

    def Iallgatherv(self, send, receive):
        self.sent += send.nbytes * (self.comm.size - 1)
        return self.comm.Iallgatherv(send, receive)

    def Ialltoall(self, send, receive):
        self.sent += send.nbytes // self.comm.size * (self.comm.size - 1)
        return self.comm.Ialltoall(send, receive)


def corpus(tokens):
    """Return a random text with word frequencies of 1 / rank."""
    weights = 1 / np.arange(1, V + 1)
    ids = np.random.default_rng(0).choice(V, tokens, p=weights / weights.sum()).astype(np.int32)
    words = nl.Vocabulary(("<unk>", *map(str, range(V - 1))))
    return nl.Corpus("random", "word", words, ids, ids[:100], ids[:100], oov={"train": 0})


def formula(run, rows, ranks):
    """Return the bytes that a rank sends in an update; `rows` are the words of its columns."""
    config, P = run.config, ranks.size
    itemsize = np.dtype(config.dtype).itemsize
    dense = run.model.num_parameters - run.model.embedding.W.data.size * (not config.tied)
    state = sum(part.size for part in run.state) // P
    gathered = state * itemsize + rows * (config.input_size * itemsize + 8) * (not config.tied)
    return (P - 1) * (2 * dense * itemsize / P + gathered)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("presets", nargs="*", default=["small", "medium"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--shards", type=int, help="default: the number of ranks")
    options = parser.parse_args()
    nl.set_num_threads(options.threads)
    ranks = connect()
    ranks.comm = Counted(ranks.comm)
    for preset in options.presets:
        config = nl.from_preset(preset, max_vocab=V, steps=options.updates, log_every=10**6)
        config = replace(config, shards=options.shards or ranks.size)
        B, T = config.batch_size, config.num_steps
        text = corpus(B * T * (options.updates + 2))
        run = nl.new_run(config, text)
        seconds, began, before = [], time.perf_counter(), 0
        for item in nl.train(run, text, ranks=ranks):
            if isinstance(item, nl.Step):
                seconds.append(time.perf_counter() - began)
                sent, before = ranks.comm.sent - before, ranks.comm.sent
            began = time.perf_counter()
        x = next(iter(nl.data.batches(text.train, B, T, start=options.updates - 1)))[0]
        rows = len(np.unique(x[:, : B // ranks.size]))
        if ranks.rank == 0:
            print(
                f"{preset}: {ranks.size} ranks of {options.threads} threads, {config.shards} "
                f"shards: {1e3 * median(seconds[2:]):.1f} ms; sent {sent:,} bytes, by the formula "
                f"{formula(run, rows, ranks):,.0f}"
            )


if __name__ == "__main__":
    main()
