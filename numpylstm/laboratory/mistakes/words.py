"""The kinds of mistakes, and the words for each.

A mistake is a kind and the names that it is about; everything that is decided about it is decided
by these. Its words are made last, from the table `WORDS`, which may be translated.
"""

from enum import Enum, auto


class Kind(Enum):
    """A kind of mistake in a line."""

    NAMED = auto()  # an exhibit of several lines, described in its own record

    # An array, a factor or a term.
    USED_INSTEAD = auto()
    FACTOR_MISSING = auto()
    TERM_MISSING = auto()
    IGNORED = auto()
    IGNORED_BUT_AT_THE_LAST_STEP = auto()
    COUNTED_TWICE = auto()
    ADDED_AT_EVERY_STEP = auto()
    ADDED_HERE_TOO = auto()
    IN_BRACKETS = auto()
    WEIGHTS_IGNORED = auto()
    DIVISION_MISSING = auto()
    NOT_DIVIDED = auto()
    UPSIDE_DOWN = auto()
    DIVIDED_BY = auto()
    MULTIPLIED_BY = auto()
    ADDED_NOT_MULTIPLIED = auto()
    SQUARED = auto()
    ONE_MINUS = auto()
    NOT_ONE_MINUS = auto()
    CLIPPED = auto()

    # A sign.
    SIGN = auto()
    SIGN_OF_ARRAY = auto()
    SIGN_OF_TERM = auto()
    SIGN_OF_BOTH_TERMS = auto()
    SIGN_OF_EXPONENT = auto()

    # A transpose.
    TRANSPOSED = auto()
    NOT_TRANSPOSED = auto()
    PRODUCT_TRANSPOSED = auto()

    # A function.
    SLOPE_OF_SIGMOID = auto()
    SLOPE_OF_TANH = auto()
    PART_SQUARED = auto()
    FUNCTION_INSTEAD = auto()
    FUNCTION_MISSING = auto()
    CURVE_OF = auto()
    CURVE_OF_EVERYWHERE = auto()
    BASE_2 = auto()
    MEAN_FOR_SUM = auto()
    SUM_FOR_MEAN = auto()
    MINIMUM_MISSING = auto()
    NORMS_ADDED = auto()
    LARGEST_NORM = auto()
    FIRST_NORM = auto()
    RESET_AFTER = auto()

    # The step at which an array is taken, used or stored.
    ONE_STEP_EARLY = auto()
    ONE_STEP_LATE = auto()
    OF_THE_FIRST_STEP = auto()
    OF_THE_LAST_STEP = auto()
    AT_THE_LAST_STEP_ALONE = auto()
    NOT_AT_THE_FIRST_STEP = auto()
    STATE_AFTER_THE_LAST_STEP = auto()
    FROM_THIS_STEP = auto()
    OF_THE_STEP_BEFORE = auto()
    FROM_THE_STEP_BEFORE = auto()
    FROM_THE_STEP_AFTER = auto()
    FROM_THE_FIRST_STEP = auto()
    ZERO_AT_THE_FIRST_STEP = auto()
    FROM_THE_LAST_AT_THE_FIRST_STEP = auto()
    STORED_ONE_STEP_EARLY = auto()
    STORED_IN_REVERSE = auto()
    LATER_STEPS_LEFT_OUT = auto()

    # A sum, over steps or rows.
    OVERWRITTEN = auto()
    FIRST_STEP_LEFT_OUT = auto()
    LAST_STEP_LEFT_OUT = auto()
    LAST_STEP_COUNTED = auto()
    LAST_STEP_ADDED = auto()
    ROWS_ADDED_ONCE = auto()
    ROWS_OF_A_STEP_ADDED_ONCE = auto()
    ROWS_SET = auto()

    # A loop, and the step that it calls.
    STEPS_FORWARDS = auto()
    STEPS_BACKWARDS = auto()
    EXCHANGED = auto()
    ANOTHER_ORDER = auto()
    NOT_REPLACED = auto()
    NONE_REPLACED = auto()
    ADDED_TO_THE_OLD = auto()
    ADDED_TO_THE_ARGUMENT = auto()

    # The blocks of columns of the gates.
    BLOCKS_EXCHANGED = auto()
    BLOCKS_IN_ANOTHER_ORDER = auto()
    COLUMNS_EXCHANGED = auto()
    COLUMNS_IN_ANOTHER_ORDER = auto()
    COLUMNS_OF_ANOTHER_GATE = auto()
    EACH_BLOCK_TRANSPOSED = auto()
    PART_OF_GATE_MISSING = auto()
    SIGN_OF_GATE = auto()


LOST = frozenset({Kind.TERM_MISSING, Kind.IGNORED, Kind.IGNORED_BUT_AT_THE_LAST_STEP})
"""Kinds that lose the content of an array; the first name is that of the array."""
OF_SIZE = frozenset({Kind.DIVIDED_BY, Kind.MULTIPLIED_BY})
OF_FORM = frozenset({Kind.ADDED_NOT_MULTIPLIED, Kind.SQUARED, Kind.ONE_MINUS, Kind.CURVE_OF})
OF_CURVE = frozenset(
    {
        Kind.SLOPE_OF_SIGMOID,
        Kind.SLOPE_OF_TANH,
        Kind.PART_SQUARED,
        Kind.FUNCTION_INSTEAD,
        Kind.CURVE_OF_EVERYWHERE,
    }
)
OF_GATES = frozenset(
    {
        Kind.BLOCKS_EXCHANGED,
        Kind.BLOCKS_IN_ANOTHER_ORDER,
        Kind.COLUMNS_EXCHANGED,
        Kind.COLUMNS_IN_ANOTHER_ORDER,
        Kind.COLUMNS_OF_ANOTHER_GATE,
        Kind.EACH_BLOCK_TRANSPOSED,
        Kind.PART_OF_GATE_MISSING,
        Kind.SIGN_OF_GATE,
    }
)

TWICE = "where an index occurs twice, both gradients must be added"
LAST_OF_THEM = "keeps only the last of them"

WORDS: dict[Kind, str] = {
    Kind.NAMED: "{words}",
    Kind.USED_INSTEAD: "{0} is used instead of {1}",
    Kind.FACTOR_MISSING: "the factor {0} is missing",
    Kind.TERM_MISSING: "the term {0} is missing",
    Kind.IGNORED: "{0} is ignored",
    Kind.IGNORED_BUT_AT_THE_LAST_STEP: "{0} is ignored at every step but the last",
    Kind.COUNTED_TWICE: "{0} is counted twice",
    Kind.ADDED_AT_EVERY_STEP: "{0} is added at every step, not at the last alone",
    Kind.ADDED_HERE_TOO: "{0} is added, which belongs to {1} alone",
    Kind.IN_BRACKETS: "{0} is in brackets with {1}",
    Kind.WEIGHTS_IGNORED: "the weights are ignored",
    Kind.DIVISION_MISSING: "the division by {0} is missing",
    Kind.NOT_DIVIDED: "{0} is not divided by {1}",
    Kind.UPSIDE_DOWN: "the quotient is upside down",
    Kind.DIVIDED_BY: "it is divided by {0}",
    Kind.MULTIPLIED_BY: "it is multiplied by {0}",
    Kind.ADDED_NOT_MULTIPLIED: "{0} and {1} are added, not multiplied",
    Kind.SQUARED: "{0} is squared",
    Kind.ONE_MINUS: "1 - {0} instead of {0}",
    Kind.NOT_ONE_MINUS: "{0} instead of 1 - {0}",
    Kind.CLIPPED: "it is clipped here",
    Kind.SIGN: "the sign is wrong",
    Kind.SIGN_OF_ARRAY: "the sign of {0} is wrong",
    Kind.SIGN_OF_TERM: "the sign of {0} is wrong",
    Kind.SIGN_OF_BOTH_TERMS: "the sign of {0} - {1} is wrong",
    Kind.SIGN_OF_EXPONENT: "the sign in the exponent is wrong",
    Kind.TRANSPOSED: "{0} is transposed",
    Kind.NOT_TRANSPOSED: "{0} is not transposed",
    Kind.PRODUCT_TRANSPOSED: "the product is transposed",
    Kind.SLOPE_OF_SIGMOID: "the slope of the sigmoid instead of tanh's",
    Kind.SLOPE_OF_TANH: "the slope of tanh instead of the sigmoid's",
    Kind.PART_SQUARED: "1 - {0} is squared where {0} must be",
    Kind.FUNCTION_INSTEAD: "{0} instead of {1}",
    Kind.FUNCTION_MISSING: "{0} is missing",
    Kind.CURVE_OF: "the {0} of {1} instead of {1}",
    Kind.CURVE_OF_EVERYWHERE: "the {0} of {1} instead of {1}",
    Kind.BASE_2: "the logarithm has the base 2",
    Kind.MEAN_FOR_SUM: "a mean instead of the sum",
    Kind.SUM_FOR_MEAN: "a sum instead of the mean",
    Kind.MINIMUM_MISSING: "the minimum with {0} is missing, so short arrays are stretched",
    Kind.NORMS_ADDED: "the norms of the arrays are added, where their squares must be",
    Kind.LARGEST_NORM: "it is the largest norm of an array, or the last, not that of all together",
    Kind.FIRST_NORM: "it is the norm of the first array, not that of all together",
    Kind.RESET_AFTER: "it is that of a GRU that resets after the product, as PyTorch's",
    Kind.ONE_STEP_EARLY: "{0} is taken one step early",
    Kind.ONE_STEP_LATE: "{0} is taken one step late",
    Kind.OF_THE_FIRST_STEP: "{0} of the first step is used at every step",
    Kind.OF_THE_LAST_STEP: "{0} of the last step is used at every step",
    Kind.AT_THE_LAST_STEP_ALONE: "{0} is used at the last step alone",
    Kind.NOT_AT_THE_FIRST_STEP: "{0} is not used at the first step",
    Kind.STATE_AFTER_THE_LAST_STEP: "at the first step it is h[-1], the state after the last one",
    Kind.FROM_THIS_STEP: "it is taken from this step, not the one before",
    Kind.OF_THE_STEP_BEFORE: "it is {0} of the step before, not {1}",
    Kind.FROM_THE_STEP_BEFORE: "{listed} {are} taken from the step before",
    Kind.FROM_THE_STEP_AFTER: "{listed} {are} taken from the step after",
    Kind.FROM_THE_FIRST_STEP: "{listed} {are} taken from the first step, at every step",
    Kind.ZERO_AT_THE_FIRST_STEP: "{listed} {are} zero at the first step",
    Kind.FROM_THE_LAST_AT_THE_FIRST_STEP: "{listed} {are} taken from the last step, at the first",
    Kind.STORED_ONE_STEP_EARLY: "it is written one step early",
    Kind.STORED_IN_REVERSE: "it is written in the reverse order",
    Kind.LATER_STEPS_LEFT_OUT: "it leaves out the gradient from later steps",
    Kind.OVERWRITTEN: "it is overwritten where it must be added to",
    Kind.FIRST_STEP_LEFT_OUT: "the first step is left out",
    Kind.LAST_STEP_LEFT_OUT: "the last step is left out",
    Kind.LAST_STEP_COUNTED: "the last step alone is counted",
    Kind.LAST_STEP_ADDED: "the last step alone is added",
    Kind.ROWS_ADDED_ONCE: f"{TWICE}: += on rows {LAST_OF_THEM}",
    Kind.ROWS_OF_A_STEP_ADDED_ONCE: f"{TWICE}: += on the rows of a step {LAST_OF_THEM}",
    Kind.ROWS_SET: f"{TWICE}: = {LAST_OF_THEM}",
    Kind.STEPS_FORWARDS: "the steps are taken forwards, not from the last to the first",
    Kind.STEPS_BACKWARDS: "the steps are taken from the last to the first",
    Kind.EXCHANGED: "{listed} are exchanged",
    Kind.ANOTHER_ORDER: "the order is {in_order}",
    Kind.NOT_REPLACED: "{0} is not replaced by the result of the step",
    Kind.NONE_REPLACED: "{listed} are not replaced by the results of the step",
    Kind.ADDED_TO_THE_OLD: "the new {0} is added to the old one",
    Kind.ADDED_TO_THE_ARGUMENT: "the new {0} is added to what the step got",
    Kind.BLOCKS_EXCHANGED: "{listed} are exchanged",
    Kind.BLOCKS_IN_ANOTHER_ORDER: "the order is {in_order}",
    Kind.COLUMNS_EXCHANGED: "{listed} are exchanged in the columns of {array}",
    Kind.COLUMNS_IN_ANOTHER_ORDER: "the order is {in_order} in the columns of {array}",
    Kind.COLUMNS_OF_ANOTHER_GATE: "the columns of {0} in {array} instead of those of {1}",
    Kind.EACH_BLOCK_TRANSPOSED: "each gate's block is transposed",
    Kind.PART_OF_GATE_MISSING: "the part from gate {0} is missing",
    Kind.SIGN_OF_GATE: "the sign of gate {0} is wrong",
}
"""The words of each kind.

``{0}`` and ``{1}`` are the names that a mistake is about, ``{listed}`` all of them as ``a, b and
c``, ``{in_order}`` as ``a, b, c``, ``{array}`` the array whose columns are meant.
"""
IN_GATE = "{words}, in gate {gate}"
IN_ALL_ROWS = "{words}, and so in all rows of that array"
OF_LINE = "{results}: {words}"
THE_STEP = "the step"
"""The results of a line that calls a step and has too many of them to name."""
UNCHANGED = "passed on unchanged"
"""A line that must pass its argument on."""
