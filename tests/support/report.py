"""Write the figures of the page "How numpylstm is tested".

``python -m tests.support.report`` counts the test cases of each promise, notes the commit in
``tests/figures/cases.json``, and puts all figures of ``tests/figures`` into
``docs/explanation/testing.md``, between its markers. The other files there have their own commands:

- ``python -m tests.support.every_float32``: the elementary functions, a few minutes;
- ``python -m tests.support.drawn_float64``: the same at drawn float64, a few minutes;
- ``python -m tests.support.broken``: breaks each promise, half an hour;
- ``python -m tests.support.fuzzing FOLDER``: adds its hours;
- ``coverage json -o FILE`` after ``.ci/run coverage``, then ``--coverage FILE``;
- ``python -m tests.support.mutants``, hours, then ``--mutants mutants.sqlite``;
- ``.ci/run | tee LOG`` on a quiet machine, then ``--ci-log LOG``: the minutes of its steps, and the
  slowest tests, of which those that the page does not explain are printed.
"""

import argparse
import collections
import datetime
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "tests" / "figures"
PAGE = ROOT / "docs" / "explanation" / "testing.md"

PROMISES = {  # the files of tests that are its witnesses, without test_ and .py
    "Gradients": "reference second_order gradcheck model_check museum mistakes_in_the_wild oracle "
    "one_file textbook cells new_cell new_optimizer",
    "The fast path is the textbook": "functional kernels layers lengths models sequence_models "
    "settings every_setting network state_dropout optim fuzz fallback caching every_float32",
    "Other programs": "torch exchange",
    "Runs that stop": "training fit interruptions progress gradient_log run_folder adaptation",
    "The same bits on any machine's threads and ranks": "threads mpi",
    "Files of others": "checkpoint_files model_file targets fuzz_corpus",
    "Texts, evaluation, sampling": "data levels inference evaluation baselines sampling tasks",
    "The doctor, the grader, teaching": "doctor doctor_lines doctor_layouts workbook tape expect "
    "teaching before_and_after",
    "The interactive page": "browser engine instruments explore pyodide",
    "Commands, reports, pictures": "cli cli_errors minutes compare config coloured findings output "
    "plots report diagnostics horizon activations benchmark",
    "Documentation and packaging": "docs notebooks package release testing_page",
}


def file_of(name):
    return f"tests/test_{name}.py"


def commit():
    """Return the short hash of the commit that is checked out."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout[:7]


def count_cases():
    """Return the number of test cases of each file, the slow ones too."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "slow or not slow"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    cases = collections.Counter(re.findall(r"^(tests/test_\w+\.py)::", done.stdout, re.M))
    if done.returncode:
        sys.exit(done.stdout[-2000:])
    return dict(sorted(cases.items()))


def read(name):
    return json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))


def write(name, figures):
    (FIGURES / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


# --- blocks of the page ------------------------------------------------------------------------


def cases_block():
    cases = read("cases")
    rows = []
    for promise, names in PROMISES.items():
        files = [file_of(name) for name in names.split()]
        links = ", ".join(f"[{name}](../../{file_of(name)})" for name in names.split())
        rows.append(
            f"| {promise} | {sum(cases['files'].get(file, 0) for file in files):,} | {links} |"
        )
    total = sum(cases["files"].values())
    return "\n".join([
        f"On commit {cases['commit']}: {total:,} cases in {len(cases['files'])} files, with the "
        "slow ones.",
        "",
        "| Promise | Cases | Files of tests |",
        "| --- | ---: | --- |",
        *rows,
    ])  # fmt: skip


def float32_block():
    rows = [
        f"| {name} | {f['worst_ulp']:.2f} | {float.fromhex(f['at']):.7g} | "
        f"{f['worst_subnormal_ulp']:.2f} | {100 * f['correctly_rounded']:.1f}% | "
        f"{f['wrong_nan_or_infinity']} |"
        for name, f in read("every_float32").items()
    ]
    return "\n".join([
        "| Function | Worst error, ulp | at x = | Worst subnormal result | Correctly rounded | "
        "Wrong NaN, infinity |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
    ])  # fmt: skip


def float64_block():
    figures = read("drawn_float64")
    rows = [
        f"| {name} | {f['worst_ulp']:.2f} | {float.fromhex(f['at']):.17g} |"
        for name, f in figures["functions"].items()
    ]
    return "\n".join([
        f"{figures['points']:,} points each, seed {figures['seed']}:",
        "",
        "| Function | Worst error, ulp | at x = |",
        "| --- | ---: | ---: |",
        *rows,
    ])  # fmt: skip


def fuzzing_block():
    rows = [
        f"| {name} | {f['hours']:.2f} | {f['inputs']:,} |" for name, f in read("fuzzing").items()
    ]
    return "\n".join(["| Reader | Hours | Files read |", "| --- | ---: | ---: |", *rows])


def broken_block():
    rows = []
    for promise, each in read("broken").items():
        first, *others = each["noticed"] or ["nobody"]
        more = f" and {len(others)} more" if others else ""
        change = (
            f"`{each['old']}` became `{each['new']}`"
            if each["new"]
            else f"`{each['old']}` was removed"
        )
        rows.append(
            f"| {promise} | {each['day']} | {each['file']}: {change} | `tests/{first}`{more} |"
        )
    return "\n".join([
        "| Promise | Day | What was changed | Who noticed |",
        "| --- | --- | --- | --- |",
        *rows,
    ])  # fmt: skip


def mutants_block():
    mutants = read("mutants")
    modules = mutants["modules"]
    drawn, survived = (sum(m[key] for m in modules.values()) for key in ("drawn", "survived"))
    rows = [f"| {name} | {m['drawn']} | {m['survived']} |" for name, m in modules.items()]
    return "\n".join([
        f"{drawn} changes drawn with seed {mutants['seed']} on commit {mutants['commit']}; "
        f"{survived} survived, that is, no test failed.",
        "",
        "| Modules | Drawn | Survived |",
        "| --- | ---: | ---: |",
        *rows,
    ])  # fmt: skip


def coverage_block():
    coverage = read("coverage")
    below = ", ".join(f"{name} {percent}%" for name, percent in coverage["below_90"].items())
    return (
        f"On commit {coverage['commit']}: {coverage['percent']}% of lines and branches; "
        f"{coverage['complete']} modules are covered completely. Below 90%: {below}."
    )


def steps_block():
    if not (FIGURES / "steps.json").exists():
        return "Not counted yet."
    run = read("steps")
    rows = [f"| {name} | {minutes(seconds)} |" for name, seconds in run["steps"]]
    return "\n".join([
        f"On {run['day']}, commit {run['commit']}, minutes and seconds:",
        "",
        "| Step | Time |",
        "| --- | ---: |",
        *rows,
        f"| **all** | **{minutes(sum(seconds for _, seconds in run['steps']))}** |",
    ])  # fmt: skip


def minutes(seconds):
    return f"{seconds // 60}:{seconds % 60:02}"


BLOCKS = {
    "cases": cases_block,
    "steps": steps_block,
    "every_float32": float32_block,
    "drawn_float64": float64_block,
    "fuzzing": fuzzing_block,
    "broken": broken_block,
    "mutants": mutants_block,
    "coverage": coverage_block,
}


def filled(page):
    """Return the text of a page with the current figures between its markers."""
    for name, block in BLOCKS.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = page.partition(start)
        page = f"{before}{start}\n\n{block()}\n\n{end}{rest.partition(end)[2]}"
    return page


# --- files of other tools ----------------------------------------------------------------------


def read_coverage(file):
    """Turn the output of ``coverage json`` into figures by module."""
    files = json.loads(file.read_text())["files"]
    percents = {
        re.sub(r"^numpylstm/(laboratory/)?|\.py$", "", name): each["summary"]["percent_covered"]
        for name, each in files.items()
    }
    total = json.loads(file.read_text())["totals"]["percent_covered"]
    below = sorted((p, name) for name, p in percents.items() if p < 90)
    return {
        "commit": commit(),
        "percent": round(total),
        "complete": sum(p == 100 for p in percents.values()),
        "below_90": {name: round(p) for p, name in below},
    }


def read_mutants(file, seed):
    """Count the results of a session of Cosmic Ray by module."""
    from cosmic_ray.work_db import use_db

    modules = collections.defaultdict(lambda: {"drawn": 0, "survived": 0})
    with use_db(file) as session:
        for item, result in session.completed_work_items:
            [mutation] = item.mutations
            counts = modules[Path(mutation.module_path).with_suffix("").parts[1]]
            counts["drawn"] += 1
            counts["survived"] += result.test_outcome.value == "survived"
    return {"commit": commit(), "seed": seed, "modules": dict(sorted(modules.items()))}


SHORT = 5  # seconds; steps that take less are counted together
SLOWEST = 20
RANKED = "the README's test command", "tests marked rare"  # steps: their tests are ranked by time


def read_ci_log(log):
    """Return the seconds of the steps of a ``.ci/run`` that has passed, and its slowest tests."""
    head = r"^=== \[(\d+):(\d+)\] (.+)$"
    marks = re.findall(head, log, re.M)
    if not marks or marks[-1][2] != "all steps passed":
        sys.exit("--ci-log: this run has not passed; its last line must say 'all steps passed'")
    starts = [60 * int(m) + int(s) for m, s, _ in marks]
    names = [name.partition(":")[0] for _, _, name in marks]
    steps = [
        [name, end - start]
        for name, start, end in zip(names[:-1], starts[:-1], starts[1:], strict=True)
    ]
    others = sum(seconds for _, seconds in steps if seconds < SHORT)
    steps = [step for step in steps if step[1] >= SHORT] + [["others", others]]
    seconds_of = collections.Counter()
    printed = re.split(head, log, flags=re.M)[4::4]  # by each step
    ranked = "".join(text for name, text in zip(names, printed, strict=True) if name in RANKED)
    for seconds, name in re.findall(r"^([\d.]+)s call +(tests/\w+\.py::[\w:]+)", ranked, re.M):
        seconds_of[name] = max(seconds_of[name], float(seconds))
    return {
        "day": datetime.date.today().isoformat(),
        "commit": commit(),
        "steps": steps,
        "slowest": [name for name, _ in seconds_of.most_common(SLOWEST)],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--coverage", type=Path, metavar="FILE")
    parser.add_argument("--mutants", type=Path, metavar="FILE")
    parser.add_argument("--ci-log", type=Path, metavar="LOG")
    parser.add_argument("--seed", type=int, default=0, help="of the mutants")
    parser.add_argument("--figures-only", action="store_true", help="count no cases")
    options = parser.parse_args()
    if options.coverage:
        write("coverage", read_coverage(options.coverage))
    if options.mutants:
        write("mutants", read_mutants(options.mutants, options.seed))
    if options.ci_log:
        write("steps", read_ci_log(options.ci_log.read_text(encoding="utf-8")))
        page = PAGE.read_text(encoding="utf-8")
        for name in read("steps")["slowest"]:
            if f"`{name}`" not in page:
                print(f"not in the table of the slowest tests: {name}")
    if not options.figures_only:
        write("cases", {"commit": commit(), "files": count_cases()})
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
