"""Files that fuzzing found to reach new code: each is read whole, or refused in one sentence."""

import importlib.util
import tempfile
import warnings

import pytest
from support import fuzzing


@pytest.fixture(params=fuzzing.READERS)
def name(request):
    """A reader, skipped if a library is missing that it needs."""
    if request.param == "import":
        for library in ("torch", "safetensors"):
            if importlib.util.find_spec(library) is None:
                pytest.skip(f"{library} is not installed (extra: exchange)")
    return request.param


def test_every_file_is_read_or_refused(name):
    files = fuzzing.corpus(name)
    assert len(files) > 20
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about what they read
        for each, content in files.items():
            try:
                fuzzing.try_reader(name, content, folder)
            except Exception as error:
                error.add_note(f"file {each} of tests/fuzz_corpus/{name}.zip")
                raise


def test_a_broken_promise_is_noticed(tmp_path, monkeypatch):
    """A reader that returns something else, or raises what is no refusal."""
    [good, *_] = fuzzing.seeds("config")
    fuzzing.try_reader("config", good, tmp_path)
    for error in (ZeroDivisionError, MemoryError, fuzzing.BrokenPromiseError):

        def read(path, error=error):
            raise error

        monkeypatch.setitem(fuzzing.READERS, "config", read)
        with pytest.raises(error):
            fuzzing.try_reader("config", good, tmp_path)


def test_mutations_are_files_of_the_kind(name):
    """Most mutations of a good file stay a container, so that they reach the code behind it."""
    seeds = fuzzing.seeds(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name
        made = [
            fuzzing.mutated(seeds[k % len(seeds)], k, lambda data: data[:-1]) for k in range(60)
        ]
    assert len(set(made)) > 20
    assert sum(content[:1] in (b"P", b"{") or content[8:9] == b"{" for content in made) > 40
