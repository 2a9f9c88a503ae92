"""Every relative link in the Markdown files has a target."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
WRITTEN = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
PAGES = sorted(p.relative_to(ROOT) for p in WRITTEN if not {"_build", "generated"} & {*p.parts})
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.M | re.S)
LINK = re.compile(r"\[([^\]]*)\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


def links(page: Path) -> list[tuple[str, str]]:
    """Return (text, target) of each link outside code."""
    return LINK.findall(CODE.sub("", (ROOT / page).read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings in GitHub's form, and targets of MyST."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ +(.+)$", CODE.sub(lambda m: m[0].strip("`"), text), re.M)
    slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_relative_links_lead_somewhere(page):
    for text, target in links(page):
        if re.match(r"[a-z]+:", target):
            continue  # another site, for sphinx -b linkcheck
        path, _, anchor = unquote(target).partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"[{text}]({target})"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"[{text}]({target})"
