"""The report of a run as one page that needs no other file and no network."""

import html
import math
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpylstm.config import TrainConfig, settings_of
from numpylstm.plots import coloured_text, inline_svg, training_curves
from numpylstm.printing import printable
from numpylstm.training.logs import Sample
from numpylstm.training.metrics import Row

FULL_COLOUR = 10.0  # bits of surprise at full colour


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
        "Compared with n-gram models": comparison(report),
        "True and predicted": pairs(report),
        "Surprise": surprise(report),
        "What it writes": samples(report),
        "Settings": settings(report.config),
        "How it was made": making(report.result),
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
    if report.config.level == "char":
        cards["bits per character"] = f"{math.log2(test['perplexity']):.3f}"
    cards[f"validation perplexity, best in epoch {valid['epoch']}"] = f"{valid['perplexity']:.2f}"
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
            "<p>None of the three problems that this page looks for: rising validation perplexity, "
            "much &lt;unk&gt;, a network no better than a bigram model.</p>"
        )
    return f'<ul class="findings">{"".join(f"<li>{text(entry)}</li>" for entry in found)}</ul>'


def curves(report: Report) -> str:
    """Return perplexity, gradient norm and learning rate."""
    references = list(report.result["baselines"].items())
    figure = training_curves(report.rows, clip=report.config.clip, references=references)
    return (
        f'<img src="{inline_svg(figure)}" '
        'alt="Perplexity of training and validation over the epochs; gradient norm and rate">'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose first column is text and whose others are numbers."""

    def cells(tag: str, row: Sequence[object]) -> str:
        return "".join(
            f"<{tag}{' class=number' if k else ''}>{text(cell)}</{tag}>"
            for k, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><tr>{cells('th', head)}</tr>{body}</table>"


def comparison(report: Report) -> str:
    """Return the network and the baselines, the best last."""
    result = report.result
    levels = {
        "all tokens equally probable": float(result["text"]["vocabulary"]),
        **{f"{name} model": level for name, level in result["baselines"].items()},
        "this network": result["test"]["perplexity"],
    }
    ordered = sorted(levels.items(), key=lambda item: -item[1])
    rows = [(name, f"{level:,.2f}", f"{math.log2(level):.2f}") for name, level in ordered]
    return table(("on the test text", "perplexity", "bits per token"), rows)


def pairs(report: Report) -> str:
    """Return tokens of the test text, each above the predicted one."""
    shown = "".join(
        f"<span>{text(true)}<i{' class=right' if true == guess else ''}>{text(guess)}</i></span>"
        for true, guess in zip(report.true, report.predicted, strict=True)
    )
    return (
        '<p class="soft">Above, the test text; below, the most probable token according to the '
        "network, given all tokens before it, in blue where it is right.</p>\n"
        f'<div class="pairs">{shown}</div>'
    )


def surprise(report: Report) -> str:
    """Return the same tokens of the test text, coloured by surprise."""
    separator = "" if report.config.level == "char" else " "
    tokens = [printable(token, lines=True) + separator for token in report.true]
    notes = [f"{number:.1f} bits" for number in report.bits]
    shown = coloured_text(tokens, report.bits, limit=FULL_COLOUR, notes=notes)
    mean = sum(report.bits) / len(report.bits)
    return (
        '<p class="soft">-log<sub>2</sub> p of each token of the same passage, from '
        f"white (expected) to orange ({FULL_COLOUR:.0f} bits or more); the mean of these is "
        f"{mean:.1f} bits.</p>\n{shown}"
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
    """Return all settings that have a value, by group."""
    groups: dict[str, list[tuple[str, object]]] = {}
    for setting in settings_of(TrainConfig):
        value = getattr(config, setting.name)
        if value is not None:
            groups.setdefault(setting.metadata["group"], []).append((setting.name, value))
    groups["model"] += config.options.items()
    columns = (f"<div><h3>{text(k)}</h3>{definitions(v)}</div>" for k, v in groups.items())
    return f'<div class="columns">{"".join(columns)}</div>'


def making(result: dict[str, Any]) -> str:
    """Return the tokens read and scored, times, the machine and the command."""
    test, corpus, times = result["test"], result["text"], result["time"]
    heads = {"tokens": "tokens", "unknown": "read as <unk>"}
    if any(corpus["unread"].values()):
        heads["unread"] = "more of it, not read"
    rows = [(split, *(f"{corpus[name][split]:,}" for name in heads)) for split in corpus["tokens"]]
    several = "s" if test["batch_size"] > 1 else ""
    scored = (
        f"Of the test text that was read, {test['tokens']:,} tokens were scored, in "
        f"{test['batch_size']} stream{several}, and {test['unscored']:,} not: the first of each "
        "stream, and the remainder of the division by their number."
    )
    facts = [
        ("held out", corpus["held_out"]),
        ("updates", f"{result['steps']:,}"),
        ("seconds", f"{times['seconds']:,} for {times['updates']:,} of them, with validations"),
        *result["machine"].items(),
        ("command", shlex.join(result["command"])),
    ]
    return f"{table(['text', *heads.values()], rows)}\n<p>{text(scored)}</p>\n{definitions(facts)}"
