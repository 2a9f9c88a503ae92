"""The program `docs/examples/one_file.py`, and its names of the parameters of a model."""

from pathlib import Path

ONE_FILE = Path(__file__).parents[2] / "docs" / "examples" / "one_file.py"
PATHS = {
    "embedding.W": "E",
    "lstm.0.Wx": "Wx",
    "lstm.0.Wh": "Wh",
    "lstm.0.b": "b",
    "decoder.W": "Wy",
    "decoder.b": "by",
}
