"""The kinds of findings and of evidence, and the words for each.

The doctor decides by kinds, arrays and numbers. Its sentences are made last, from the tables of
this module, which may be translated.
"""

from collections.abc import Mapping
from enum import Enum, auto


class Kind(Enum):
    """A likely cause."""

    FUNCTION_NOT_FINITE = "function not finite"
    GRADIENT_NOT_FINITE = "gradient not finite"
    RANDOM_FUNCTION = "random function"
    RANDOM_GRADIENT = "random gradient"
    ACCUMULATION = "accumulation"
    FLOAT32 = "float32"
    DIGITS = "digits"
    KINK = "kink"
    LINE = "line"
    LOST_GRADIENT = "lost gradient"
    SEVERAL_LINES = "several lines"
    SHARED_GRADIENT = "shared gradient"
    NO_GRADIENT = "no gradient"
    FACTOR = "factor"
    PER_PARAMETER_CLIPPING = "per-parameter clipping"
    CLIPPED = "clipped"
    ARRAY_NOT_USED = "array not used"
    ARRAY_IGNORED = "array ignored"
    TRANSPOSE = "transpose"
    LOST_TIME_STEP = "lost time step"
    BATCH = "batch"
    UNKNOWN = "unknown"


class Evidence(Enum):
    """An observation."""

    VALUES_DIFFER = auto()
    CALLS_DIFFER = auto()
    PRECISION = auto()
    SLOPES_AT_A_KINK = auto()
    AS_THE_TEXTBOOK = auto()
    ORDER_OF_BLOCKS = auto()
    ROWS_OF_A_MATRIX = auto()
    EQUAL_GRADIENTS = auto()
    SUM_OF_SLOPES = auto()
    SLOPES_NOT_ZERO = auto()
    ONE_RATIO = auto()
    RATIOS = auto()
    EQUAL_NORMS = auto()
    WRONG_ARRAYS = auto()
    RIGHT_ARRAYS = auto()
    RIGHT_IF_CHANGED = auto()
    NO_FUNCTION = auto()


class Change(Enum):
    """A change of the data by an experiment."""

    ONES = auto()
    SMALL = auto()
    SYMMETRIC = auto()
    ZERO = auto()
    ONE_STEP = auto()
    ONE_SEQUENCE = auto()


FINDINGS: dict[Kind, str] = {
    Kind.FUNCTION_NOT_FINITE: "{gradients}: NaN or infinity in the function itself.",
    Kind.GRADIENT_NOT_FINITE: "{gradients}: NaN or infinity in the gradient of {listed}.",
    Kind.RANDOM_FUNCTION: (
        "{gradients}: the function is random. Something is redrawn between evaluations, most "
        "likely a dropout mask. Draw it once and pass it in."
    ),
    Kind.RANDOM_GRADIENT: (
        "{gradients}: the backward pass is random; it redraws a mask. Draw it once and pass it in."
    ),
    Kind.ACCUMULATION: (
        "{gradients}: the second call of backward adds to the first; set the gradients to zero."
    ),
    Kind.FLOAT32: (
        "{gradients}: the function computes in float32 or lower somewhere, and its rounding hides "
        "all but gross mistakes. Check in float64."
    ),
    Kind.DIGITS: (
        "{gradients}: the gradient agrees with the slopes to {error:.0e}, and no better. Most "
        "likely no line is wrong, but digits are lost: the backward pass computes in float32 "
        "somewhere, or f is too curved for central differences; the complex step tells which. A "
        "small constant in only one of the two passes looks the same."
    ),
    Kind.KINK: (
        "{arrays}: a kink (relu, max, abs) lies at or beside the point, where f has no slope to "
        "compare {gradients} with. This is no mistake; move the point."
    ),
    Kind.LINE: "{mistakes}",
    Kind.LOST_GRADIENT: (
        "{mistakes} So {lost}_next, the gradient from the next step, is lost or overwritten."
    ),
    Kind.SEVERAL_LINES: (
        "The gradient is wrong, and the doctor cannot tell in which line: {count} mistakes give "
        "these numbers. Use T of at least 3, and no zeros."
    ),
    Kind.SHARED_GRADIENT: ("{arrays} share one gradient array, {shared}: each must have its own."),
    Kind.NO_GRADIENT: "{arrays}: no gradient arrives, {gradients} is zero everywhere.",
    Kind.FACTOR: (
        "A factor: {gradients}, the gradient of {arrays}, is the slope times {factor}. The loss "
        "and its gradient disagree on a mean, a sum or a sign, or something is added twice."
    ),
    Kind.PER_PARAMETER_CLIPPING: (
        "{gradients}: each is clipped by its own norm, and the direction of the step changes. Clip "
        "by the norm of all arrays together."
    ),
    Kind.CLIPPED: (
        "{gradients}: something is clipped, inside the backward pass or at its end entry by entry. "
        "Clip only the finished gradients, all by one norm."
    ),
    Kind.ARRAY_NOT_USED: "{gradients}: the backward pass does not use {changed} as f does.",
    Kind.ARRAY_IGNORED: (
        "{gradients}: the backward pass ignores, overwrites or miscounts what passes through "
        "{changed}."
    ),
    Kind.TRANSPOSE: (
        "{gradients}: the backward pass does not transpose {changed}, or transposes it where it "
        "must not."
    ),
    Kind.LOST_TIME_STEP: (
        "{gradients}: something between the time steps is lost, overwritten or miscounted, and the "
        "doctor cannot tell what: within one step all is right."
    ),
    Kind.BATCH: (
        "{gradients}: something is wrong between the sequences of a batch: a mean for a sum, a "
        "missing sum, or the wrong axis."
    ),
    Kind.UNKNOWN: "The gradient is wrong, and the doctor cannot tell why.",
}
"""The sentence of each kind of finding.

``{gradients}`` are the gradients of its arrays in symbols, ``{arrays}`` their names as ``a, b and
c`` and ``{listed}`` as ``a, b, c``; the others are facts of the finding.
"""

EVIDENCE: dict[Evidence, str] = {
    Evidence.VALUES_DIFFER: "three evaluations at one point: {values}",
    Evidence.CALLS_DIFFER: "two calls at one point differ in {listed}",
    Evidence.PRECISION: "its values are exact to {precision:.0e} only; float64 gives about 1e-16",
    Evidence.SLOPES_AT_A_KINK: (
        "at {arrays}[{index}] the slope is {left:.4g} to the left and {right:.4g} to the right, "
        "over 1e-7, and {slope:.4g} over 1e-5; the gradient is {gradient:.4g}"
    ),
    Evidence.AS_THE_TEXTBOOK: (
        "with this mistake, the textbook gives these numbers in every array, to 1e-9"
    ),
    Evidence.ORDER_OF_BLOCKS: "your blocks of columns are in the order {order}",
    Evidence.ROWS_OF_A_MATRIX: "the rows of your {matrix} are those of {rows}",
    Evidence.EQUAL_GRADIENTS: (
        "the two gradients are equal in every number, the two slopes are not"
    ),
    Evidence.SUM_OF_SLOPES: "each is the sum of the two slopes",
    Evidence.SLOPES_NOT_ZERO: "the slopes are not zero",
    Evidence.ONE_RATIO: "gradient / slope is {ratio:.6g} in every entry",
    Evidence.RATIOS: "gradient / slope: {ratios}",
    Evidence.EQUAL_NORMS: (
        "{capped} arrays have exactly the same norm, {norm:.6g}, and none a larger one"
    ),
    Evidence.WRONG_ARRAYS: "wrong in {arrays}",
    Evidence.RIGHT_ARRAYS: "right in {right_arrays}",
    Evidence.RIGHT_IF_CHANGED: "{change}: right",
    Evidence.NO_FUNCTION: "pass backward as a function, so that the doctor can experiment",
}

CHANGES: dict[Change, str] = {
    Change.ONES: "with all of {changed} one",
    Change.SMALL: "with {changed} a thousand times smaller",
    Change.SYMMETRIC: "with every square block of {changed} symmetric",
    Change.ZERO: "with {changed} zero",
    Change.ONE_STEP: "with one time step",
    Change.ONE_SEQUENCE: "with a batch of one",
}

OUTCOME = "{change}: {result}"
SKIPPED = "skipped, the code refused the changed arrays ({error}{message})"
NOTHING_ARRIVES = "nothing arrives"
RIGHT = "right"
WRONG = "wrong in {arrays}"
NONE = "none"

MISTAKE = "{description}; it must be {correction}."
OR_ELSE = " Or else: "

NAMED_RATIOS = {"-1 (the sign)": -1.0, "2 (counted twice)": 2.0, "1/2": 0.5}


def named_factor(factor: float, known: Mapping[str, int]) -> str:
    """Format ``2``, or ``0.2 = 1/T`` where a size or a product of sizes explains the number."""
    ratios = dict(NAMED_RATIOS)
    for name, size in {**known, "T B": known.get("T", 0) * known.get("B", 0)}.items():
        if size > 1:
            bracketed = f"({name})" if " " in name else name
            ratios[f"{size} = {name}"] = size
            ratios[f"1/{size} = 1/{bracketed}"] = 1 / size
    for words, ratio in ratios.items():
        if abs(factor - ratio) <= 1e-6 * abs(ratio):
            return words
    return f"{factor:.6g}"
