"""The report of a run as one page that needs no other file and no network."""

import html
import math
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpylstm.config import TrainConfig
from numpylstm.levels import LEVELS
from numpylstm.plots import inline_svg, training_curves
from numpylstm.plots.coloured import background
from numpylstm.printing import printable
from numpylstm.training.logs import Sample
from numpylstm.training.metrics import Row

FULL_COLOUR = 10  # bits of surprise at full colour


class Report(NamedTuple):
    """The contents of a page."""

    name: str
    model: str  # in a few words
    config: TrainConfig
    rows: Sequence[Row]
    result: dict[str, Any]  # as in result.json
    true: Sequence[str]  # tokens of the test text
    predicted: Sequence[str]  # the most probable ones in their places
    bits: Sequence[float]  # the surprise at each
    samples: Sequence[Sample]
    sample: str


def page(report: Report) -> str:
    """Return the report as HTML; texts and names are escaped."""
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    sections = {
        "What stands out": findings(report),
        "Curves": curves(report),
        "True and predicted": passage(report),
        "What it writes": samples(report),
        "Settings": settings(report.config),
        "How it was made": facts_of_run(report.result),
    }
    body = "\n".join(f"<h2>{title}</h2>\n{content}" for title, content in sections.items())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(report.name)}: numpylstm</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{heading(report)}\n{body}\n</body>\n</html>\n"
    )


def text(value: object, *, lines: bool = False) -> str:
    """Escape a value for the page."""
    return html.escape(printable(str(value), lines=lines))


def heading(report: Report) -> str:
    """Return the name and the main figures."""
    result = report.result
    test, valid = result["test"], result["validation"]
    cards = {"test perplexity": f"{test['perplexity']:.2f}"}
    level = LEVELS[report.config.level]
    if level.bits_per_unit:
        cards[f"bits per {level.unit}"] = f"{math.log2(test['perplexity']):.3f}"
    cards[f"validation perplexity, best in epoch {valid['epoch']}"] = f"{valid['perplexity']:.2f}"
    for name, perplexity in result["baselines"].items():
        cards[f"test perplexity of the {name} model"] = f"{perplexity:.2f}"
    cards["of the test text predicted correctly"] = f"{test['accuracy']:.1%}"
    if speed := result["time"]["tokens_per_second"]:
        cards["tokens per second in training"] = f"{speed:,}"
    shown = "".join(f"<div><b>{n}</b><span>{text(what)}</span></div>" for what, n in cards.items())
    return (
        f"<h1>{text(report.name)}</h1>\n"
        f'<p class="soft">{text(report.model)}; {text(result["text"]["source"])}</p>\n'
        f'<div class="cards">{shown}</div>'
    )


def findings(report: Report) -> str:
    """Return the sentences of `numpylstm.report.findings`."""
    found = report.result["findings"]
    if not found:
        return (
            "<p>None of the four problems that this page looks for: a better network in last.npz, "
            "rising validation perplexity, much &lt;unk&gt;, a network no better than a bigram "
            "model.</p>"
        )
    return f'<ul class="findings">{"".join(f"<li>{text(entry)}</li>" for entry in found)}</ul>'


def curves(report: Report) -> str:
    """Return perplexity, gradient norm and learning rate."""
    figure = training_curves(
        report.rows, clip=report.config.clip, references=report.result["baselines"].items()
    )
    return (
        f'<img src="{inline_svg(figure)}" '
        'alt="Perplexity of training and validation over the epochs; gradient norm and rate">'
    )


def passage(report: Report) -> str:
    """Return tokens of the test text, coloured by surprise, each above the predicted one."""
    shown = "".join(
        f'<span title="{bits:.1f} bits">'
        f'<b style="background:{background(min(bits / FULL_COLOUR, 1))}">{text(true)}</b>'
        f"<i{' class=right' if true == guess else ''}>{text(guess)}</i></span>"
        for true, guess, bits in zip(report.true, report.predicted, report.bits, strict=True)
    )
    mean = sum(report.bits) / len(report.bits)
    return (
        '<p class="soft">Above, the test text, coloured by surprise, -log<sub>2</sub> p of each '
        f"token, from white (expected) to orange ({FULL_COLOUR} bits or more); the mean is "
        f"{mean:.1f} bits. Below, the most probable token according to the network, given all "
        f'tokens before it, in blue where it is right.</p>\n<div class="pairs">{shown}</div>'
    )


def samples(report: Report) -> str:
    """Return samples of the network during training, and one of the best network."""
    written = [
        ("Before training" if sample.epoch == 0 else f"After epoch {sample.epoch}", sample.text)
        for sample in report.samples
    ]
    written.append(("The best network", report.sample))
    return "\n".join(
        f"<h3>{title}</h3>\n<pre>{text(content, lines=True)}</pre>" for title, content in written
    )


def definitions(entries: Iterable[tuple[str, object]]) -> str:
    """Return a list of names and values."""
    return f"<dl>{''.join(f'<dt>{text(k)}</dt><dd>{text(v)}</dd>' for k, v in entries)}</dl>"


def settings(config: TrainConfig) -> str:
    """Return all settings that have a value."""
    shown = ((name, value) for name, value in config.flattened().items() if value is not None)
    return f'<div class="columns">{definitions(shown)}</div>'


def facts_of_run(result: dict[str, Any]) -> str:
    """Return the tokens read and scored, times, the machine and the command."""
    test, corpus, times = result["test"], result["text"], result["time"]
    facts = [("held out", corpus["held_out"])]
    for split, tokens in corpus["tokens"].items():
        unknown, unread = corpus["unknown"][split], corpus["unread"][split]
        more = f"; {unread:,} more were not read" if unread else ""
        facts.append((f"{split} text", f"{tokens:,} tokens, {unknown:,} read as <unk>{more}"))
    facts += [
        (
            "scored",
            f"{test['tokens']:,} tokens of the test text, in parallel streams: "
            f"{test['batch_size']}; not scored: {test['unscored']:,}, the first of each stream and "
            "the remainder of the division by their number",
        ),
        ("updates", f"{result['steps']:,}"),
        ("seconds", f"{times['seconds']:,} for {times['updates']:,} of them, with validations"),
        *result["machine"].items(),
        ("command", shlex.join(result["command"])),
    ]
    return definitions(facts)
