"""Train small runs on the ranks of mpiexec: ``mpiexec -n N python -m support.ranks UPDATES``.

Rank 0 prints the digests of the checkpoints of all ranks, by case.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpylstm as nl
from numpylstm.cli.train import main
from numpylstm.data.configured import load_corpus
from numpylstm.training import parallel

COMMON = {
    "train": "text.txt", "valid": "text.txt", "max_vocab": 45, "hidden_size": 8, "num_layers": 2,
    "batch_size": 8, "num_steps": 5, "dropout": 0.5, "log_every": 3, "shards": 4,
}  # fmt: skip
CASES = [
    *(
        {"cell": cell, "optimizer": optimizer, "dtype": dtype}
        for cell, optimizer, dtype in product(
            ("lstm", "gru"), ("sgd", "adam"), ("float32", "float64")
        )
    ),
    {"cell": "rnn", "momentum": 0.5},
    {"dropout_locked": True, "dropout_weights": 0.3, "dropout_words": 0.2},
    {"tied": True, "optimizer": "adamw"},  # no gradient travels as rows
    {"tied": True, "embedding_size": 6, "dropout_state": 0.3},
    {"max_vocab": 9, "average_across_batch": False},  # nor here, where all rows are used
    {"impl": "reference", "average_across_timesteps": True},
    {"hidden_size": 80, "num_layers": 1},  # the gradients are above 64 KiB
]


def digests(updates: int, folder: Path = Path()) -> list[list[str]]:
    """Return the digest of the checkpoint of each rank, for each case."""
    found = []
    for case in CASES:
        config = nl.TrainConfig(**COMMON | case, steps=updates)
        corpus = load_corpus(config)
        run = nl.new_run(config, corpus)
        for _ in nl.train(run, corpus):
            pass
        path = folder / f"rank-{parallel.RANKS.rank}.npz"
        nl.save(run, path)
        found.append(parallel.RANKS.allgather(hashlib.sha256(path.read_bytes()).hexdigest()))
    return found


def has_mpi() -> bool:
    """Return True if mpi4py and an MPI library can be loaded; this loads them elsewhere."""
    return (
        subprocess.run(
            [sys.executable, "-c", "from mpi4py import MPI"], capture_output=True
        ).returncode
        == 0
    )


def train() -> int:
    """Run numpylstm-train; the last argument may be ``fail-RANK-at-STEP``."""
    rank = os.environ.get("PMI_RANK") or os.environ["PMIX_RANK"]
    # In one write, so that the lines of two ranks cannot mix.
    print(f"process {rank} {os.getpid()}\n", end="", flush=True)
    sys.stdout.isatty = lambda: False  # Open MPI makes a terminal of a pipe
    *words, last = sys.argv[2:]
    failing = re.fullmatch(r"fail-(\d)-at-(\d+)", last)
    if failing and failing[1] == rank:
        usual = parallel.backpropagate

        def fail(*arguments: Any) -> Any:
            fail.calls += 1
            if fail.calls == int(failing[2]):
                raise MemoryError("no memory")
            return usual(*arguments)

        fail.calls = 0
        parallel.backpropagate = fail
    return main(words if failing else [*words, last])


if __name__ == "__main__":
    if sys.argv[1] == "train":
        sys.exit(train())
    nl.set_num_threads(1)
    parallel.RANKS = parallel.connect()
    began = time.perf_counter()
    found = digests(int(sys.argv[1]))
    if parallel.RANKS.rank == 0:
        print(json.dumps({"digests": found, "seconds": time.perf_counter() - began}))
