"""Names of the package in text: `forward` becomes a link if such a name exists.

Docstrings put names between single backticks, as in `rnn_step_forward`. The name is searched in
the current class, in its module, in `numpylstm` and at the top; a name that is not found stays
code. So docstrings need no markup for this site.
"""

import importlib
import inspect
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from pages import all_modules, home, modules
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def full_name(text: str, module: str, cls: str) -> str | None:
    """Return the name under which the site documents `text` in this scope, or None."""
    text = text.removesuffix("()").removeprefix("nl.")
    for scope in (f"{module}.{cls}" if cls else module, module, "numpylstm", ""):
        found = look_up(f"{scope}.{text}".strip("."))
        # `data` is an attribute far more often than numpylstm.data.
        if found is not None and not (scope == "numpylstm" and found in modules()):
            return found
    return None


def look_up(path: str) -> str | None:
    """Follow a dotted path from the package to an object; return the name that documents it."""
    if path.split(".")[0] != "numpylstm":
        return None
    if path in modules():
        return path
    for cut in range(path.count("."), 0, -1):
        parts = path.split(".")
        module, attributes = ".".join(parts[:cut]), parts[cut:]
        if module != "numpylstm" and module not in all_modules():
            continue
        thing: Any = importlib.import_module(module)
        if not hasattr(thing, attributes[0]):
            return None
        first = getattr(thing, attributes[0])
        start = home(module, attributes[0], first)
        if start is None:
            return None
        for attribute in attributes[1:]:
            if attribute.startswith("_") or not inspect.isclass(first):
                return None
            first = inspect.getattr_static(first, attribute, None)
            if first is None:
                return None
        return ".".join([start, *attributes[1:]])
    return None


def name_role(
    role: str, rawtext: str, text: str, lineno: int, inliner: Inliner, *_: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    env = inliner.document.settings.env
    context = env.ref_context
    target = full_name(text, context.get("py:module") or "", context.get("py:class") or "")
    code = nodes.literal(text, text, classes=["xref", "py"] if target else [])
    if target is None:
        return [code], []
    reference = addnodes.pending_xref(
        "", code, refdomain="py", reftype="obj", reftarget=target, refexplicit=True, quiet=True
    )
    reference["refdoc"] = env.docname
    return [reference], []


def resolve_by_home(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, contnode: nodes.Element
) -> nodes.Element | None:
    """Link ``numpylstm.LanguageModel`` to the page of ``numpylstm.models``."""
    if node.get("refdomain") != "py":
        return None
    target = look_up(node["reftarget"])
    if target is None or target == node["reftarget"]:
        return None
    domain = env.domains["py"]
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contnode)


def is_quiet(app: Sphinx, domain: Any, node: addnodes.pending_xref) -> bool | None:
    """Suppress the warning for a name between backticks without an entry; it stays code."""
    return True if node.get("quiet") else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_role("name", name_role)
    app.connect("missing-reference", resolve_by_home)
    app.connect("warn-missing-reference", is_quiet)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
