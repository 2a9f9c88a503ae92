"""The doctor without words: whatever it decides, it decides by kinds, arrays and numbers."""

from contextlib import ExitStack, contextmanager
from functools import wraps
from unittest.mock import patch

from numpylstm.laboratory.doctor import words as of_findings
from numpylstm.laboratory.mistakes import words as of_mistakes

TABLES = (of_mistakes.WORDS, of_findings.FINDINGS, of_findings.EVIDENCE, of_findings.CHANGES)
SILENT = "xxx"


@contextmanager
def silence():
    """Replace every sentence and every piece of one by ``xxx``."""
    with ExitStack() as replaced:
        for table in TABLES:
            replaced.enter_context(patch.dict(table, dict.fromkeys(table, SILENT)))
        for module in (of_mistakes, of_findings):
            for name, value in list(vars(module).items()):
                if name.isupper() and isinstance(value, str):
                    replaced.enter_context(patch.object(module, name, SILENT))
        yield


def in_silence(function):
    """Return a function that is run in silence; what it returns may speak."""

    @wraps(function)
    def run(*arguments, **named):
        with silence():
            return function(*arguments, **named)

    return run
