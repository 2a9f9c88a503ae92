"""Coverage-guided fuzzing of everything that reads files of others, by Atheris (libFuzzer).

``pip install -e ".[fuzz]" && python -m tests.support.fuzzing --hours 1 FOLDER`` fuzzes the readers
in turns. FOLDER keeps the inputs that reached new code and, in ``findings``, one file for each kind
of finding with its traceback. What was done is added up in ``tests/figures/fuzzing.json``. With
``--keep``, findings and some of the inputs go into ``tests/fuzz_corpus``, which every run of the
tests reads.

READERS hold the promise: a file is read whole, so that what was read can be written and read again,
or it is refused with an error of ours in one sentence; and no small file takes much memory. The
mutations know the containers: a changed member of a zip gets its checksum, a changed header of
safetensors its length, and half of them change one value of a JSON object.
"""

import argparse
import importlib
import inspect
import io
import json
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILE = TESTS / "figures" / "fuzzing.json"
CORPUS = TESTS / "fuzz_corpus"
KEPT = 40  # files of each reader in the corpus, of the smaller half
SLICE = 300  # seconds of a reader, then it is the turn of the next one
MEMORY = 4 << 30  # bytes of address space, of which PyTorch takes most
INSTRUMENTED = [  # modules; the code of the C extensions below them is out of sight
    *("numpylstm.config", "numpylstm.checks", "numpylstm.parameters", "numpylstm.saving"),
    *("numpylstm.data.vocabulary", "numpylstm.training.checkpoint", "numpylstm.training.metrics"),
    *("numpylstm.exchange.arrays", "numpylstm.exchange.files", "numpylstm.tape.comparison"),
    *("numpylstm.tape.formulas", "numpy.lib._format_impl", "numpy.lib._npyio_impl", "zipfile"),
    *("json.decoder", "torch.serialization", "torch._weights_only_unpickler"),
]


class BrokenPromiseError(Exception):
    """The outcome of a reader with a file, where it should have read or refused it."""


# --- the readers -------------------------------------------------------------------------------


def read_model(path):
    import numpylstm as nl

    model = nl.load_model(path)
    nl.save_model(model, path)
    same_arrays(model, nl.load_model(path))


def read_checkpoint(path):
    from numpylstm.errors import NumpylstmError
    from numpylstm.training import checkpoint

    run = checkpoint.restore_run(checkpoint.load(path))
    try:
        checkpoint.save(run, path)
    except NumpylstmError as error:
        raise BrokenPromiseError("a run that was read cannot be saved") from error
    same_arrays(run.model, checkpoint.restore_run(checkpoint.load(path)).model)


def read_import(path):
    import numpylstm as nl

    model, vocabulary = nl.exchange.import_model(path)
    nl.exchange.export_model(model, path, "safetensors", vocabulary)
    same_arrays(model, nl.exchange.import_model(path)[0])


def read_config(path):
    import numpylstm as nl

    try:
        settings = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return
    if isinstance(settings, dict):
        config = nl.TrainConfig(**settings)
        if nl.TrainConfig(**json.loads(json.dumps(config.to_dict()))) != config:
            raise BrokenPromiseError("settings change when they are written and read")


def read_tape(path):
    from numpylstm import tape
    from numpylstm.tape import comparison

    answers = comparison.read(path)
    str(tape.grade(answers))


def same_arrays(one, other):
    import numpy as np

    one, other = one.state_dict(), other.state_dict()
    if one.keys() != other.keys() or any(
        not np.array_equal(one[name], other[name], equal_nan=True) for name in one
    ):
        raise BrokenPromiseError("arrays change when they are written and read")


READERS = {
    "config": read_config,
    "tape": read_tape,
    "import": read_import,
    "model": read_model,
    "checkpoint": read_checkpoint,
}


def try_reader(name, content, folder):
    """Let a reader read some bytes as a file; anything but success or a refusal of ours raises."""
    from numpylstm.errors import NumpylstmError
    from numpylstm.tape import TapeError

    path = Path(folder) / "file"
    path.write_bytes(content)
    try:
        READERS[name](path)
    except (NumpylstmError, TapeError) as refusal:
        check_refusal(name, path, refusal)
    except TypeError as refusal:  # of a setting or an option that does not exist
        if not re.search(r"unexpected keyword argument|is not an option of any cell", str(refusal)):
            raise


def check_refusal(name, path, refusal):
    """Check that a refusal is one sentence, and names the file where there is one."""
    text = str(refusal)
    if name != "config" and not text.startswith(str(path)) and name != "tape":
        raise BrokenPromiseError(f"the file is not named: {text}") from refusal
    if len(text) > 1500:
        raise BrokenPromiseError(f"a sentence of {len(text)} characters") from refusal


# --- mutations ---------------------------------------------------------------------------------

VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 10**9, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, 1e-320),
    *("", "lstm", "gru", "sgd", "adam", "float64", "<unk>", "\ud800", "\x1b[2J", "0", "nan", "é"),
    *([], {}, [[]], [0], ["a"], {"": 0}, float("nan"), float("inf")),
]


def mutate_json(text, rng, mutate):
    """Change one value of a JSON text, or some bytes of it."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return mutate(text)
    places = list(places_in(tree))
    if not places or rng.random() < 0.2:
        return mutate(text)
    parent, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.15:
        del parent[key]
    elif kind < 0.5:
        parent[key] = rng.choice(VALUES)
    elif kind < 0.7:
        other, name = rng.choice(places)
        parent[key] = json.loads(json.dumps(other[name])) if other is not parent else None
    elif isinstance(parent, dict) and kind < 0.8:
        parent[rng.choice(["", "x", "lr", "hidden_size", key + "2"])] = parent[key]
    elif isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
        parent[key] = parent[key] + rng.choice([-1, 1, 2, -100, 1e-9, 10**20])
    else:
        parent[key] = [parent[key]]
    return json.dumps(tree).encode()


def places_in(tree):
    """Yield each container of a JSON tree with each of its keys."""
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from places_in(tree[key])


def mutate_zip(content, rng, mutate):
    """Change one member of a zip file, and give it the right checksum; or raw bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:
        return mutate(content)
    if not members or rng.random() < 0.1:
        return mutate(content)
    k = rng.randrange(len(members))
    if rng.random() < 0.4:
        k = next((k for k, (name, _) in enumerate(members) if "meta" in name or "pkl" in name), k)
    name, inside = members[k]
    kind = rng.random()
    if kind < 0.07:
        del members[k]
    elif kind < 0.14:
        members.append((rng.choice(members)[0], inside))
    elif kind < 0.21:
        members[k] = (mutate(name.encode()).decode("utf-8", "replace"), inside)
    elif name == "meta.npy" and len(inside) > 128:
        text = mutate_json(inside[128:], rng, mutate)
        shape = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({len(text)},), }}"
        members[k] = (name, inside[:10] + shape.ljust(117).encode() + b"\n" + text)
    else:
        members[k] = (name, mutate(inside))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, inside in members:
            archive.writestr(zipfile.ZipInfo(name.replace("\0", "0") or "x"), inside)
    return file.getvalue()


def mutate_safetensors(content, rng, mutate):
    """Change the header of a safetensors file and write its length, or raw bytes."""
    (size,) = struct.unpack("<Q", content[:8])
    if size > len(content) or rng.random() < 0.2:
        return mutate(content)
    header = mutate_json(content[8 : 8 + size], rng, mutate)
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


def mutated(content, seed, mutate):
    """Return other bytes, by a mutation that fits the kind of file."""
    rng = random.Random(seed)
    try:
        if content[:2] == b"PK":
            return mutate_zip(content, rng, mutate)
        if content[8:9] == b"{":
            return mutate_safetensors(content, rng, mutate)
        return mutate_json(content, rng, mutate)
    except (ValueError, OverflowError, RecursionError, UnicodeError, AttributeError, TypeError):
        return mutate(content)


# --- seeds -------------------------------------------------------------------------------------


def seeds(name):
    """Return the bytes of small good files for a reader."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.npz"
        return [path.read_bytes() for _ in SEEDS[name](path)]


def small_models():
    import numpylstm as nl

    return [
        nl.LanguageModel(3, 2, rng=0),
        nl.LanguageModel(3, 2, tied=True, cell="gru", rng=0),
        nl.LanguageModel(3, 2, 2, cell="rnn", dtype="float64", rng=0),
        nl.LanguageModel(3, 2, cell="slstm", dropout=0.5, rng=0),
        nl.SequenceClassifier(3, 2, 2, rng=0),
        nl.SequenceRegressor(input_size=1, num_outputs=1, hidden_size=2, bidirectional=True, rng=0),
    ]


def write_models(path):
    import numpylstm as nl

    for model in small_models():
        yield nl.save_model(model, path)


def write_checkpoints(path):
    import numpylstm as nl
    from numpylstm.training import checkpoint
    from numpylstm.training.loop import Run

    vocabulary = nl.data.Vocabulary(("<unk>", "a", "b"))
    for settings in ({}, {"optimizer": "adam"}, {"momentum": 0.5, "schedule": "plateau"}):
        config = nl.TrainConfig(hidden_size=2, num_layers=1, batch_size=2, **settings)
        model = nl.LanguageModel.from_config(config, vocab_size=3, rng=0)
        yield checkpoint.save(Run.begin(config, vocabulary, "", model), path)


def write_imports(path):
    import numpy as np

    import numpylstm as nl

    vocabulary = nl.data.Vocabulary(("<unk>", "a", "b"))
    language, tied, *_, regressor = small_models()
    for model, words in [(language, vocabulary), (tied, vocabulary), (regressor, None)]:
        yield nl.exchange.export_model(model, path, "safetensors", words)
    yield nl.exchange.export_model(language, path, "torch")
    Path(f"{path}.json").unlink()
    rng = np.random.default_rng(0)
    shapes = [(3, 2), (2, 8), (2, 8), (8,), (2, 3), (3,)]  # of Keras
    yield np.savez(path, *(rng.standard_normal(shape).astype("f4") for shape in shapes))


def write_configs(path):
    import numpylstm as nl

    for preset in ("small", "demo", "tied-adam"):
        yield path.write_text(json.dumps(nl.from_preset(preset).to_dict()))


def write_tapes(path):
    from numpylstm.tape import golden

    for cell in golden.CELLS:
        yield path.write_text(golden.as_json(golden.load(cell)))
    yield path.write_text(json.dumps({"forward": {"t0": {"lstm.0": {"a_i": [0.5, 1]}}}}))


SEEDS = {
    "model": write_models,
    "checkpoint": write_checkpoints,
    "import": write_imports,
    "config": write_configs,
    "tape": write_tapes,
}


# --- the fuzzer --------------------------------------------------------------------------------


def fuzz(name, folder, seconds):
    """Fuzz one reader for some seconds in this process, which ends then."""
    import resource

    import atheris

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for module in INSTRUMENTED:
        for function in functions_of(importlib.import_module(module)):
            atheris.instrument_func(function)
    corpus, findings = folder / name, folder / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    for k, content in enumerate(seeds(name)):
        (corpus / f"seed-{k}").write_bytes(content)
    place = tempfile.mkdtemp()

    def one_input(content):
        try:
            try_reader(name, content, place)
        except (Exception, MemoryError) as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{name}-{type(error).__name__}-{Path(at.filename).stem}-{at.lineno}"
            if not (findings / kind).exists():
                (findings / kind).write_bytes(content)
                (findings / f"{kind}.txt").write_text(traceback.format_exc())

    def mutator(content, max_size, seed):
        return mutated(content, seed, lambda data: atheris.Mutate(data, len(data) + 64))[:max_size]

    options = [
        *(f"-max_total_time={seconds}", "-max_len=20000", "-timeout=60", "-print_final_stats=1"),
        *(f"-artifact_prefix={findings}/{name}-", "-rss_limit_mb=0", "-verbosity=1"),
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input, custom_mutator=mutator)
    atheris.Fuzz()


def functions_of(module):
    """Yield the functions and methods that a module defines."""
    for thing in list(vars(module).values()):
        members = vars(thing).values() if inspect.isclass(thing) else [thing]
        for member in members:
            if inspect.isfunction(member) and member.__module__ == module.__name__:
                yield member


def keep(folder):
    """Put the findings and a sample of the inputs of each reader into the corpus of the tests."""
    CORPUS.mkdir(exist_ok=True)
    for name in READERS:
        found = [p for p in sorted((folder / "findings").glob(f"{name}-*")) if p.suffix != ".txt"]
        inputs = sorted((folder / name).glob("*"), key=lambda path: (path.stat().st_size, path))
        smaller = inputs[: len(inputs) // 2]
        chosen = random.Random(0).sample(smaller, min(KEPT, len(smaller)))
        with zipfile.ZipFile(CORPUS / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(found + chosen):
                archive.writestr(
                    zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED
                )


def corpus(name):
    """Return the kept files of a reader, by name."""
    with zipfile.ZipFile(CORPUS / f"{name}.zip") as archive:
        return {each: archive.read(each) for each in archive.namelist()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--reader", choices=READERS, help="fuzz only this one, in this process")
    parser.add_argument("--keep", action="store_true", help="only write tests/fuzz_corpus")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.keep:
        keep(folder)
        return
    if arguments.reader:
        fuzz(arguments.reader, folder, round(3600 * arguments.hours))
    end = time.monotonic() + 3600 * arguments.hours
    names = list(READERS)
    while time.monotonic() < end:
        names.append(name := names.pop(0))
        seconds = min(SLICE, end - time.monotonic())
        command = [sys.executable, "-m", "tests.support.fuzzing", str(folder), "--reader", name]
        start = time.monotonic()
        done = subprocess.run(
            [*command, f"--hours={seconds / 3600}"], stderr=subprocess.PIPE, text=True, check=False
        )
        if not (found := re.search(r"number_of_executed_units: (\d+)", done.stderr)):
            print(done.stderr[-3000:])
        add(name, time.monotonic() - start, int(found[1]) if found else 0)
        print(name, found and found[1], f"ended with {done.returncode}", flush=True)


def add(name, seconds, inputs):
    """Add what was done to the file of figures."""
    figures = json.loads(FILE.read_text()) if FILE.exists() else {}
    before = figures.get(name, {"hours": 0, "inputs": 0})
    figures[name] = {
        "hours": round(before["hours"] + seconds / 3600, 3),
        "inputs": before["inputs"] + inputs,
    }
    FILE.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
