"""Check the built site: ``python docs/tools/check_site.py``.

Run it after ``sphinx-build`` and ``docs/tools/lite.py``.

Every public name of the package must be documented (``objects.inv`` lists the names), every link
between pages must lead to an existing page and anchor, every picture must have an alternative
text, and nothing may be fetched from another server. The pages of JupyterLite are not
checked. Prints the problems; exits with 1 if any.
"""

import inspect
import re
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

DOCS = Path(__file__).parents[1]
SITE = DOCS / "_build" / "html"
sys.path[:0] = [str(DOCS / "_ext"), str(DOCS.parent)]

from pages import home, modules, public_names  # noqa: E402
from sphinx.util.inventory import InventoryFile  # noqa: E402


def missing_names() -> tuple[int, list[str]]:
    """Return the number of public names, and those missing on the site."""
    wanted = set(modules())
    for module_name in modules():
        module = import_module(module_name)
        for name in public_names(module):
            value = getattr(module, name)
            target = home(module_name, name, value) or f"{module_name}.{name}"
            wanted.add(target)
            if inspect.isclass(value):
                wanted |= {f"{target}.{member}" for member in public_members(value)}
    with (SITE / "objects.inv").open("rb") as file:
        places = InventoryFile.load(file, "", lambda base, path: path)
    there = {name for kind, items in places.items() if kind.startswith("py:") for name in items}
    return len(wanted), [f"not on the site: {name}" for name in sorted(wanted - there)]


def public_members(cls: type) -> list[str]:
    """Return the public methods and properties that a class defines itself."""
    kinds = (property, classmethod, staticmethod)
    return [
        name
        for name, member in vars(cls).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, kinds))
    ]


class Page(HTMLParser):
    """Links, anchors and pictures without alternative text of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.places: set[str] = set()
        self.silent: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.places |= {attributes[name] for name in ("id", "name") if name in attributes}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif "src" in attributes or (tag == "link" and attributes.get("rel") == "stylesheet"):
            self.fetched.append(attributes.get("src") or attributes["href"])
        if tag == "img" and not attributes.get("alt", "").strip():
            self.silent.append(attributes.get("src", "?"))


def broken_links() -> tuple[int, int, list[str]]:
    """Return the number of pages, the number of links between them, and the problems."""
    found = sorted(SITE.rglob("*.html"))
    ours = [path for path in found if path.relative_to(SITE).parts[0] not in ("_static", "lite")]
    pages = {path: Page(path) for path in ours}
    links, wrong = 0, []
    for path, page in pages.items():
        where = path.relative_to(SITE)
        wrong += [f"{where}: a picture without a text: {source[:60]}" for source in page.silent]
        for target in page.fetched:
            if re.match(r"(https?:)?//", target):
                wrong.append(f"{where}: fetched from elsewhere: {target}")
        for target in page.links + page.fetched:
            if re.match(r"[a-z]+:|//", target):
                continue
            links += 1
            name, _, place = unquote(target).partition("#")
            place = place.partition("?")[0]  # a view of the interactive page
            file = (path.parent / name.partition("?")[0]).resolve() if name else path
            if not file.exists():
                wrong.append(f"{where}: no such file: {target}")
            elif place and file in pages and place not in pages[file].places:
                wrong.append(f"{where}: no such place: {target}")
    return len(pages), links, wrong


def main() -> int:
    names, missing = missing_names()
    pages, links, wrong = broken_links()
    print("\n".join(missing + wrong), end="\n" if missing + wrong else "")
    print(f"{names - len(missing)} of {names} public names are on the site")
    print(f"{pages} pages, {links} links between them, {len(wrong)} broken")
    return 1 if missing or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
