"""How work is cut into pieces for the threads."""

from .compiling import inlined

GRAIN = 16  # elements: threads whose parts are multiples of it do not write to one cache line


@inlined
def part(size, share, shares, grain):
    """The `share`-th of `shares` nearly equal parts of range(size), in multiples of `grain`."""
    grains = (size + grain - 1) // grain
    start, stop = grains * share // shares, grains * (share + 1) // shares
    return start * grain, min(size, stop * grain)
