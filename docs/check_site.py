"""Does the built site have a place for every public name? ``python docs/check_site.py``

Reads ``docs/_build/html/objects.inv``, the list of what the site can be linked to, and holds it
against the package. Prints what is missing and ends with 1 if anything is.
"""

import inspect
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from pages import home, modules, public_names  # noqa: E402
from sphinx.util.inventory import InventoryFile  # noqa: E402


def expected() -> set[str]:
    """Public modules, their names, and the public methods of their classes."""
    names = set(modules())
    for name in modules():
        module = import_module(name)
        for public in public_names(module):
            value = getattr(module, public)
            target = home(name, public, value)
            names.add(target or f"{name}.{public}")
            if inspect.isclass(value) and target is not None:
                names |= {
                    f"{target}.{member}"
                    for member, thing in vars(value).items()
                    if not member.startswith("_")
                    and (inspect.isfunction(thing) or isinstance(thing, (property, classmethod)))
                }
    return names


def main() -> int:
    inventory = HERE / "_build" / "html" / "objects.inv"
    with inventory.open("rb") as file:
        places = InventoryFile.load(file, "", lambda base, path: path)
    there = {name for kind, items in places.items() if kind.startswith("py:") for name in items}
    wanted = expected()
    missing = sorted(wanted - there)
    for name in missing:
        print(f"not on the site: {name}")
    print(f"{len(wanted) - len(missing)} of {len(wanted)} public names are on the site")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
