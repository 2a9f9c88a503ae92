"""What is left of a run when it is over, as one object of JSON: ``result.json`` in its folder."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpylstm import __version__
from numpylstm.data import Corpus
from numpylstm.evaluation import Evaluation, safe_exp
from numpylstm.host import facts
from numpylstm.kernels.threads import get_num_threads
from numpylstm.training.checkpoint import is_number
from numpylstm.training.loop import Run
from numpylstm.training.run_folder import RESULT, RunFolderError, write_text
from numpylstm.training.timing import Timing
from numpylstm.untrusted import open_regular

FORMAT, VERSION = "numpylstm result", 1

REQUIRED = {
    "test": ("perplexity", "accuracy"),
    "validation": ("perplexity", "epoch"),
    "time": ("updates", "seconds", "tokens_per_second"),
}
"""The numbers of a result that others read."""


def result_of(
    run: Run,
    corpus: Corpus,
    test: Evaluation,
    *,
    baselines: Mapping[str, float],
    findings: Sequence[str],
    timing: Timing,
    command: Sequence[str],
) -> dict[str, Any]:
    """Test figures with their ledger, baselines, findings, text, model, times, machine, command.

    Parameters
    ----------
    run : Run
    corpus : Corpus
    test : Evaluation
        Of the best checkpoint.
    baselines : mapping of str -> float
        Perplexities of models that only count, on the test text.
    findings : sequence of str
    timing : Timing
        Of this process.
    command : sequence of str
        That made it.
    """
    validations = [(row.valid_perplexity, row.epoch) for row in run.history]
    best, epoch = min((perplexity, epoch) for perplexity, epoch in validations if perplexity)
    return {
        "format": FORMAT,
        "version": VERSION,
        "test": {"perplexity": test.perplexity, **asdict(test), "unknown": corpus.oov["test"]},
        "validation": {
            "perplexity": best,
            "epoch": epoch,
            "by_epoch": [safe_exp(loss) for loss in run.valid_losses],
        },
        "baselines": dict(baselines),
        "findings": list(findings),
        "text": {
            "source": corpus.source,
            "level": corpus.level,
            "fingerprint": run.fingerprint,
            "vocabulary": len(corpus.vocabulary),
            "tokens": corpus.num_tokens,
            "unread": dict(corpus.unread),
            "unknown": dict(corpus.oov),
            "left_out": dict(corpus.left_out),
        },
        "parameters": run.model.num_parameters,
        "epochs": run.epoch,
        "steps": run.step,
        "time": {
            "updates": timing.updates,
            "seconds": round(timing.seconds, 1),
            "tokens_per_second": timing.tokens_per_second and round(timing.tokens_per_second),
        },
        "machine": {"numpylstm": __version__, **facts(), "threads": get_num_threads()},
        "command": list(command),
    }


def as_json(value: Any) -> Any:
    """The same, but null in place of numbers that JSON lacks: a model may have exploded."""
    if isinstance(value, dict):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [as_json(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Write what `result_of` made into the folder of its run."""
    text = json.dumps(as_json(result), indent=2, allow_nan=False)
    write_text(folder / RESULT, text + "\n")


def read_result(folder: Path) -> dict[str, Any] | None:
    """The object in the folder of a run; None if the run is not over, or older than such files.

    Raises
    ------
    RunFolderError
        If there is something else in its place.
    """
    path = folder / RESULT
    if not path.exists():
        return None
    try:
        with open_regular(path) as file:
            result = json.loads(file.read())
        if result["format"] != FORMAT or result["version"] != VERSION:
            raise ValueError("it is of another format")
        for group, names in REQUIRED.items():
            for name in names:
                value = result[group][name]
                if value is not None and not is_number(value):
                    raise ValueError(f"{group}.{name} is no number")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise RunFolderError(f"{path} is not the result of a run: {error}") from error
    return result
