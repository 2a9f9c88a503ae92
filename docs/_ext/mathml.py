"""Formulas as MathML, which browsers render without a script and without a network.

They need a font with a table of mathematical constants, which not every system has. The site has
its own, the letters and signs of STIX Two Math that formulas use (``_static/stix-two-math.woff``).
"""

import re
from html import escape

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(as_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    ids = f' id="{node["ids"][0]}"' if node["ids"] else ""
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    formula = as_mathml(node.astext(), "block")
    translator.body.append(f'<div class="math"{ids} tabindex="0">{formula}{number}</div>\n')
    raise nodes.SkipNode


def as_mathml(latex: str, display: str) -> str:
    """Return the formula as MathML, with its source for copying and for screen readers."""
    latex = " ".join(latex.split())
    aligned = latex.replace("{aligned}", "{align*}")  # the converter's name for it
    mathml = convert(aligned, display=display)
    # A prime is raised already; as an exponent it would rise twice.
    prime = r"<msup>((?:(?!<msup>).)*?)<mi>&#x02032;</mi></msup>"
    mathml = re.sub(prime, r"\1<mo>&#x02032;</mo>", mathml)
    # Both bars of a norm are as high as a letter: the last one is not stretched below an exponent.
    mathml = mathml.replace("<mo>&#x02016;</mo>", '<mo stretchy="false">&#x02016;</mo>')
    # "+=" is one sign.
    assigned = r"<mo><mrow><mo>(&#x0002B;|&#x02212;)</mo></mrow></mo><mo>&#x0003D;</mo>"
    mathml = re.sub(assigned, r"<mo>\1&#x0003D;</mo>", mathml)
    # "log p", not "logp".
    name = "<mi>(?:exp|ln|log|tanh)</mi>"
    function = rf"((?<!<msup>){name}|<msup>{name}<mn>\d+</mn></msup>)(?=<m(?:i|n|sub|sup)>)"
    mathml = re.sub(function, r'\1<mspace width="0.17em" />', mathml)
    return mathml.replace("<math ", f'<math alttext="{escape(latex)}" ', 1)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
