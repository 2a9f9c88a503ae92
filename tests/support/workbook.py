"""The workbook, its solutions as functions, and the grade of a solution that was changed."""

from pathlib import Path

import numpy as np
from numba import njit

from numpylstm import grading
from support.notebook_cells import exchanged, read, solution_code, tagged

PATH = Path(__file__).parents[2] / "notebooks" / "workbook.ipynb"
NOTEBOOK = read(PATH)
NAMES = list(grading.BLANKS)
SOLUTIONS = dict(zip(NAMES, map(solution_code, tagged(NOTEBOOK, "solution")), strict=True))


def functions(changed=None, *pieces):
    """Return the solutions as functions by name, one with pieces of its code exchanged."""
    space = {"np": np, "njit": njit}
    for name, code in SOLUTIONS.items():
        exec(exchanged(code, *pieces) if name == changed else code, space)
    return {name: space[name] for name in NAMES}


def graded(name, *pieces):
    """Grade a solution with pieces of its code exchanged."""
    return grading.grade(functions(name, *pieces)[name])
