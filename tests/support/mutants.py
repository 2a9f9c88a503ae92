"""Change the code at places drawn by a seed, and list the changes that no test notices.

``python -m tests.support.mutants`` draws 300 places from MODULES and changes the code at one of
them at a time, in a copy of the checkout, by Cosmic Ray. The results are in ``mutants.sqlite``: a
run that was interrupted continues there, and ``cr-report`` and ``cr-html`` read it.
"""

import argparse
import contextlib
import functools
import itertools
import os
import random
import re
import shlex
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.testing import TestOutcome, run_tests
from cosmic_ray.tools.report import report
from cosmic_ray.util import read_python_source
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec, WorkItem

SESSION = Path("mutants.sqlite").resolve()  # runs work in another folder
MODULES = {  # and their tests, the nearest first; those of commands and of random calls follow
    "reference": "reference lengths functional cells optim",
    "functional": "functional lengths kernels optim fallback",
    "layers": "layers lengths models sequence_models sampling",
    "optim": "optim new_optimizer training",
    "models": "models model_check sequence_models sampling evaluation training",
    "training": "training fit run_folder checkpoint_files gradient_log progress report output "
    "interruptions threads mpi compare model_check cli",
    "saving": "model_file checkpoint_files run_folder targets",
    "evaluation": "evaluation baselines sequence_models targets cli",
    "data": "data evaluation targets cli",
}
# Any test notices `int & None` or the bits of a float, and none that `is` stands for `==`, which is
# all that `is` or `is not` can stand for in place of `<`.
POINTLESS = re.compile("Bit|Shift|Is_Eq|IsNot_NotEq|(Eq|[LG]tE?)_Is")


def mutants_of(path):
    """Yield every change of one file that Cosmic Ray knows, without the pointless ones."""
    nodes = list(ast_nodes(get_ast_from_path(path)))
    # Cosmic Ray takes the star before keyword-only arguments for a product.
    markers = {n.start_pos for n in nodes if n.type == "operator" and n.parent.type == "parameters"}
    for name in sorted(plugins.operator_names()):
        operator = plugins.get_operator(name)
        if not (operator.arguments() or POINTLESS.search(name)):
            positions = (p for node in nodes for p in operator().mutation_positions(node))
            for occurrence, (start, end) in enumerate(positions):
                if start not in markers:
                    yield MutationSpec(path, name, occurrence, start, end)


def parses(mutant):
    """Return False if the change is a syntax error, such as ``x > not y`` or ``{+defaults}``."""
    operator = plugins.get_operator(mutant.operator_name)()
    # The AttributeError is Cosmic Ray's own, at `except (zipfile.BadZipFile, ...)`.
    with contextlib.suppress(SyntaxError, AttributeError):
        code = mutate_code(read_python_source(mutant.module_path), operator, mutant.occurrence)
        compile(code, mutant.module_path, "exec")
        return True
    return False


def draw(modules, seed):
    """Draw places, and one change at each: an operator with ten changes counts as one place."""
    places = {}
    for module in modules:
        file = Path("numpylstm", f"{module}.py")
        for path in [file] if file.exists() else sorted(file.with_suffix("").glob("*.py")):
            for mutant in mutants_of(path):
                places.setdefault((path, mutant.start_pos, mutant.end_pos), []).append(mutant)
    rng = random.Random(seed)
    for place in rng.sample(sorted(places), len(places)):
        changes = rng.sample(places[place], len(places[place]))
        yield from itertools.islice(filter(parses, changes), 1)


@functools.cache
def tests_of(module):
    """Return the command that tests a module, and its time limit; the unchanged code must pass."""
    files = [f"tests/test_{name}.py" for name in (*MODULES[module].split(), "cli_errors", "fuzz")]
    command = shlex.join([sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", *files])
    begun = time.monotonic()
    outcome, output = run_tests(command, timeout=3600)
    if outcome is not TestOutcome.SURVIVED:
        sys.exit(f"the tests of {module} fail without any change:\n{output}")
    return command, 60 + 5 * (time.monotonic() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--modules", nargs="+", choices=MODULES, default=MODULES)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    left_out = shutil.ignore_patterns(".*", "_build", "build", "dist", "runs")
    with use_db(SESSION) as session, tempfile.TemporaryDirectory() as scratch:
        if not session.num_work_items:
            drawn = itertools.islice(draw(options.modules, options.seed), options.number)
            session.add_work_items(WorkItem.single(uuid.uuid4().hex, mutant) for mutant in drawn)
        print(f"{SESSION}: {session.num_results} of {session.num_work_items} done", flush=True)
        os.environ["PYTHONPATH"] = copy = shutil.copytree(".", f"{scratch}/copy", ignore=left_out)
        with contextlib.chdir(copy):
            for item in session.pending_work_items:
                [mutant] = item.mutations
                command, limit = tests_of(mutant.module_path.with_suffix("").parts[1])
                result = mutate_and_test(item.mutations, command, limit)
                session.set_result(item.job_id, result)
                place = f"{mutant.module_path}:{mutant.start_pos[0]}"
                print(result.test_outcome.value, place, mutant.operator_name, flush=True)
    report(["--surviving-only", "--show-diff", str(SESSION)])


if __name__ == "__main__":
    main()
