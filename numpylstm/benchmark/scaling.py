"""How the time of a training step grows with each dimension, the others held fixed."""

from dataclasses import dataclass, replace

from numpylstm.benchmark.configurations import Configuration
from numpylstm.benchmark.measure import Comparison, Settings, compare, fitted_exponent

CENTRE = Configuration("centre", V=1000, H=256, L=2, T=32, B=32)

SIZES: dict[str, tuple[int, ...]] = {
    "H": (64, 128, 256, 512, 1024),
    "T": (8, 16, 32, 64, 128),
    "B": (4, 8, 16, 32, 64, 128),
    "L": (1, 2, 4, 8),
    "V": (1000, 2000, 5000, 10_000, 20_000),
}


@dataclass(frozen=True)
class Curve:
    """Seconds of a training step of one library, against one dimension."""

    dimension: str
    library: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """The p of ``time = a * size ** p``."""
        return fitted_exponent(self.sizes, self.seconds)


def curves(
    dimension: str,
    sizes: tuple[int, ...],
    settings: Settings,
    product_speed: float,
    centre: Configuration = CENTRE,
) -> tuple[list[Curve], list[Comparison]]:
    """Measure all sizes of one dimension; a curve for each library, and what it was made from."""
    changes = ({dimension: size, "name": f"{dimension} = {size}"} for size in sizes)
    along = [replace(centre, **change) for change in changes]  # type: ignore[arg-type]
    with settings.workers() as workers:
        found = [compare("train", c, settings, product_speed, workers) for c in along]
    lines = [
        Curve(dimension, library, sizes, tuple(c.timings[k].median for c in found))
        for k, library in enumerate(settings.libraries)
    ]
    return lines, found
