"""Generated pages: one for each public module, command and notebook.

They are written into folders that git ignores, before Sphinx reads its sources. A new module,
command or notebook needs no entry anywhere.
"""

import argparse
import functools
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.directives.other import TocTree
from sphinx.util import docname_join
from sphinx.util.matching import patfilter

import numpylstm

DOCS = Path(__file__).parent.parent
# Not for callers: the explanation has a page about the kernels, the reference one for each command,
# and numpylstm.public lists the names of the package.
NOT_FOR_CALLERS = (
    "numpylstm.kernels",
    "numpylstm.cli",
    "numpylstm.public",
)
CHAPTERS = ("numpylstm.laboratory", "numpylstm.training", "numpylstm.report")
"""Folders that export nothing themselves; each of their modules has a page."""


@functools.cache
def modules() -> tuple[str, ...]:
    """Return the public modules, the package first. Of a folder, only its exports are public."""
    rooms = [importlib.import_module(name) for name in ("numpylstm", *CHAPTERS)]
    found = {
        name
        for room in rooms
        for _, name, _ in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
    }
    return (
        "numpylstm",
        *sorted(n for n in found if n not in NOT_FOR_CALLERS and "._" not in n),
    )


@functools.cache
def all_modules() -> frozenset[str]:
    """Return all modules, including the files behind the public ones."""
    return frozenset(name for _, name, _ in pkgutil.walk_packages(numpylstm.__path__, "numpylstm."))


def public_names(module: ModuleType) -> list[str]:
    """Return the public names of a module: ``__all__``, or its own names without an underscore."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ] + documented_constants(module)


def documented_constants(module: ModuleType) -> list[str]:
    """Return the constants of a module with a docstring after them."""
    source = inspect.getsource(module)
    return re.findall(r'^([A-Z][A-Z_0-9]*)\b[^\n=]*= .*(?:\n[ })\]].*)*\n"""', source, re.M)


def page_of(module: str) -> str:
    """Return the module that documents the names of `module`: itself, or its exporting folder."""
    depth = 3 if module.startswith(tuple(f"{chapter}." for chapter in CHAPTERS)) else 2
    return ".".join(module.split(".")[:depth])


def home(module: str, name: str, value: Any) -> str | None:
    """Return the full name that documents an object, or None if it is not of this package."""
    if inspect.ismodule(value):
        pages = (value.__name__, page_of(value.__name__))
        return next((page for page in pages if page in modules()), None)
    defined_in = page_of(str(getattr(value, "__module__", "")))
    if defined_in in modules() and hasattr(importlib.import_module(defined_in), name):
        return f"{defined_in}.{name}"
    for candidate in modules()[1:]:  # a constant has no __module__
        if name in documented_constants(importlib.import_module(candidate)):
            return f"{candidate}.{name}"
    return None


# --- the reference -------------------------------------------------------------------------------


def module_page(name: str) -> str:
    """Return a page in reST: the docstring of a module, then all names that it documents."""
    module = importlib.import_module(name)
    lines = [name, "=" * len(name), "", f".. py:module:: {name}", ""]
    lines += [inspect.getdoc(module) or "", "", "Names", "-----", ""]
    here, elsewhere = len(lines), []
    for public in public_names(module):
        value = getattr(module, public)
        target = home(name, public, value)
        if target is None and not inspect.ismodule(value):
            target = f"{name}.{public}"  # a constant without a docstring
        if inspect.ismodule(value) or target != f"{name}.{public}":
            elsewhere.append((public, target, value))
            continue
        if inspect.isclass(value):
            lines += [f".. autoclass:: {target}", "   :members:"]
            lines += ["   :inherited-members: tuple, dict, BaseException", ""]
        elif callable(value):
            lines += [f".. autofunction:: {target}", ""]
        else:
            lines += [f".. autodata:: {target}", "   :no-value:", ""]
    if elsewhere and len(lines) > here:
        lines += ["From other modules", "-" * 18, ""]
    for public, target, value in sorted(elsewhere):
        role = "py:mod" if inspect.ismodule(value) else "py:obj"
        link = f":{role}:`{public} <{target}>`" if target else f"``{public}``"
        lines += [link, f"    {summary(value)}", ""]
    return "\n".join(lines) + "\n"


def summary(value: Any) -> str:
    """Return the first line of a docstring; for a constant, its type."""
    if not (inspect.ismodule(value) or inspect.isclass(value) or callable(value)):
        return f"A constant, of type {type(value).__name__}."
    return (inspect.getdoc(value) or "").split("\n")[0]


def list_of_modules() -> str:
    """Return a Markdown list of modules with the first lines of their docstrings."""
    lines = []
    for name in modules():
        text = summary(importlib.import_module(name)).removeprefix(f"{name}: ")
        lines.append(f"- {{py:mod}}`{name}`: {text}\n")
    return "".join(lines)


# --- the commands --------------------------------------------------------------------------------


def command_page(module: ModuleType) -> str:
    """Return a page in Markdown: the description, arguments and flags of a command's parser."""
    parser: argparse.ArgumentParser = module.make_parser()
    lines = [f"# {parser.prog}", "", parser.description or "", ""]
    lines += [f":::{{program}} {parser.prog}", ":::", ""]
    for group in parser._action_groups:
        if group._group_actions:
            title = group.title or ""
            lines += [f"## {title[:1].upper()}{title[1:]}", ""]
            for action in group._group_actions:
                lines += option(parser, action)
    if parser.epilog:
        epilog = parser.epilog.strip()
        lines += ["## More", "", "```text", epilog, "```", ""]
    return "\n".join(lines)


def option(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    """Return the entry of one argument or flag: its syntax, its help, its default."""
    value = "" if action.nargs == 0 else f" {metavar(action)}"
    names = ", ".join(f"{flag}{value}" for flag in action.option_strings)
    text = (action.help or "") % (vars(action) | {"prog": parser.prog})
    told = "default" in text or action.default in (None, False, "", argparse.SUPPRESS)
    default = "" if told else f" Default: `{action.default}`."
    text = text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
    text = re.sub(r"(?<![\w`])(--[a-z-]+|<unk>|[\w.*-]+\.(?:npz|csv|txt|tgz))", r"`\1`", text)
    return [f":::{{option}} {names or metavar(action)}", text + default, ":::", ""]


def metavar(action: argparse.Action) -> str:
    """Return the value of a flag as the help text shows it."""
    if action.metavar is not None:
        return str(action.metavar)
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest if not action.option_strings else action.dest.upper()


# --- the notebooks -------------------------------------------------------------------------------


def notebook_page(path: Path) -> str:
    """Return the notebook with its links to project files replaced by links to site pages."""
    return re.sub(r"\]\(\.\./([\w./-]+)", _site_link, path.read_text(encoding="utf-8"))


def _site_link(link: re.Match[str]) -> str:
    target = link[1]
    module = target.removesuffix(".py").removesuffix("/").replace("/", ".")
    if target.startswith("docs/"):
        target = target.removeprefix("docs/")
    elif module in modules():
        target = f"reference/generated/{module}.rst"
    elif module.startswith("numpylstm.kernels"):
        target = "explanation/kernels.md"
    elif target == "README.md":
        target = "index.md"
    else:
        target = f"../{target}"  # a file outside the site, offered for download
    return f"](../../{target}"


# --- all pages ----------------------------------------------------------------------------------


def write_pages(*_: Any) -> None:
    """Write the pages that changed and remove those no longer generated."""
    reference, tutorials = DOCS / "reference" / "generated", DOCS / "tutorials" / "generated"
    pages = {reference / f"{name}.rst": module_page(name) for name in modules()}
    pages[reference / "modules.txt"] = list_of_modules()
    cli = importlib.import_module("numpylstm.cli")
    for _, name, _ in pkgutil.iter_modules(cli.__path__, "numpylstm.cli."):
        module = importlib.import_module(name)
        if hasattr(module, "make_parser"):
            prog = module.make_parser().prog
            pages[reference / "commands" / f"{prog}.md"] = command_page(module)
    for notebook in (DOCS.parent / "notebooks").glob("*.ipynb"):
        pages[tutorials / notebook.name] = notebook_page(notebook)
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for folder in (reference, tutorials):
        for path in folder.rglob("*.*"):
            if path not in pages:
                path.unlink()


class TocTreeOfWhatIsThere(TocTree):
    """A toctree whose patterns may match nothing."""

    def run(self) -> list[nodes.Node]:
        if "glob" in self.options:
            here, found = self.env.docname, self.env.found_docs - {self.env.docname}
            patterns = [p for p in self.content if patfilter(found, docname_join(here, p))]
            self.content = StringList(patterns, here)
        return super().run() if self.content else []


def without_last_blank_line(app: Any, docname: str, source: list[str]) -> None:
    """Remove the blank line that doctest needs after the last output of a block."""
    if app.env.doc2path(docname).suffix == ".md":
        source[0] = source[0].replace("\n\n```\n", "\n```\n")


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("toctree", TocTreeOfWhatIsThere, override=True)
    app.connect("builder-inited", write_pages)
    app.connect("source-read", without_last_blank_line)
    app.connect("autodoc-skip-member", skip_field_numbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def skip_field_numbers(
    app: Any, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Skip the docstrings that Python generates for the fields of a NamedTuple."""
    return True if (inspect.getdoc(thing) or "").startswith("Alias for field number") else None
