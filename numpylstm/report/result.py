"""The result of a finished run as one JSON object: ``result.json`` in its folder."""

import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from numpylstm import __version__
from numpylstm.baselines import Baseline
from numpylstm.checks import check_interval
from numpylstm.data import Corpus
from numpylstm.evaluation import Evaluation, safe_exp
from numpylstm.kernels.threads import PROCESSORS, get_num_threads
from numpylstm.report.findings import findings
from numpylstm.saving import write_text
from numpylstm.training.display import Timing
from numpylstm.training.loop import Run
from numpylstm.training.metrics import best_row
from numpylstm.training.run_folder import RESULT, reading

FORMAT, VERSION = "numpylstm result", 1


def result_of(
    run: Run,
    corpus: Corpus,
    test: Evaluation,
    *,
    baselines: Mapping[Baseline, float],
    timing: Timing,
    command: Sequence[str],
) -> dict[str, Any]:
    """Return test figures, baselines, findings, text, model, times, machine and command.

    `test` is of the best checkpoint, `baselines` are perplexities,
    `timing` is of this process, `command` the words that started it.
    """
    best = best_row(run.rows, run.epoch)
    tokens_per_second = timing.tokens_per_second and round(timing.tokens_per_second)
    unk = corpus.vocabulary.unk_id
    splits = (corpus.train, corpus.valid, corpus.test)
    found = findings(
        run.rows,
        run.epoch,
        unknown=sum(int(np.count_nonzero(ids == unk)) for ids in splits),
        tokens=sum(corpus.num_tokens.values()),
        test=test.perplexity,
        references=baselines,
    )
    return {
        "format": FORMAT,
        "version": VERSION,
        "test": {"perplexity": test.perplexity, **asdict(test), "unknown": corpus.oov["test"]},
        "validation": {
            "perplexity": None if best is None else best.valid_perplexity,
            "epoch": 0 if best is None else best.epoch,
            "by_epoch": [safe_exp(loss) for loss in run.valid_losses],
        },
        "baselines": {baseline.value: reached for baseline, reached in baselines.items()},
        "findings": [str(finding) for finding in found],
        "text": {
            "source": corpus.source,
            "held_out": corpus.held_out,
            "level": corpus.level,
            "fingerprint": run.fingerprint,
            "vocabulary": len(corpus.vocabulary),
            "tokens": corpus.num_tokens,
            "unread": corpus.unread,
            "unknown": corpus.oov,
        },
        "parameters": run.model.num_parameters,
        "epochs": run.epoch,
        "steps": run.step,
        "time": {
            "updates": timing.updates,
            "seconds": round(timing.seconds, 1),
            "tokens_per_second": tokens_per_second,
        },
        "machine": {"numpylstm": __version__, **facts(), "threads": get_num_threads()},
        "command": command,
    }


def facts() -> dict[str, str]:
    """Return the processor, the system, and the versions that matter here."""
    numba = "none"
    with suppress(PackageNotFoundError):
        numba = version("numba")
    return {
        "processor": model_name() or platform.processor() or platform.machine(),
        "processors": str(PROCESSORS),
        "system": platform.platform(),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "Numba": numba,
    }


def model_name() -> str | None:
    """Return the name of the processor from ``/proc/cpuinfo``, if the system has one."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return None


def as_json(value: Any) -> Any:
    """Replace infinities and NaN, which JSON lacks, by None: a model may have exploded."""
    return json.loads(json.dumps(value), parse_constant=lambda constant: None)


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Write a result into the folder of its run."""
    text = json.dumps(as_json(result), indent=2, allow_nan=False)
    write_text(folder / RESULT, text + "\n")


def read_result(folder: Path) -> dict[str, Any] | None:
    """Read the result in a run folder; None if the run is not finished."""
    path = folder / RESULT
    if not path.exists():
        return None
    with reading(path, "the result of a run") as file:
        result: dict[str, Any] = json.load(file)
        if (result["format"], result["version"]) != (FORMAT, VERSION):
            raise ValueError
        for part, name in ("test", "perplexity"), ("time", "tokens_per_second"):
            if (value := result[part][name]) is not None:  # None stands for infinity
                check_interval("result", f"{part}.{name}", value, "[0, inf)")
        return result
