"""The command and code blocks of the README and of docs/, and which of them the tests run.

Every fenced block marked sh or python is run by tests/e2e/test_docs_run.py, in the order of its page, in
a directory of the page's own; unless the line above it says why not:

    <!-- not run: it needs the Tinker service -->

What a page needs beforehand and a reader need not see stands in `<!-- run first: ... -->`.

    python -m tests.doc_blocks        # the list of all blocks, run and not run
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks", "pages", "unmarked_commands"]

REPOSITORY = Path(__file__).parents[1]
_GENERATED = ("cli.md", "config.md", "errors.md")
_BLOCK = re.compile(
    r"<!-- run first:\n(?P<first>.*?)-->"
    r"|(?:<!-- not run: (?P<reason>[^>]+?) -->\n+)?^```(?P<language>sh|bash|python)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block: where it is, what it holds, and why it is not run (empty: it is run)."""

    page: Path
    line: int
    language: str
    text: str
    reason: str
    shown: bool


def pages() -> list[Path]:
    """The pages that people wrote."""
    docs = sorted(p for p in (REPOSITORY / "docs").glob("*.md") if p.name not in _GENERATED)
    return [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *docs]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found["first"] is not None:
            yield Block(page, line, "sh", found["first"], "", shown=False)
        else:
            reason = found["reason"] or ""
            yield Block(
                page,
                line,
                found["language"].replace("bash", "sh"),
                found["text"],
                reason,
                shown=True,
            )


def unmarked_commands(page: Path) -> list[str]:
    """Commands in blocks that name no language, or are merely indented: nobody would run those."""
    text = page.read_text(encoding="utf-8")
    bare = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    fenced = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    fenced = re.sub(r"<!--.*?-->", "", fenced, flags=re.DOTALL)
    indented = re.findall(r"^ {4}((?:ot|make|pip|python) .*)$", fenced, re.MULTILINE)
    lines = [line for block in bare for line in block.splitlines()]
    return [line for line in (*lines, *indented) if re.match(r"(ot|make|pip|python) ", line)]


def main() -> int:
    """Print the list."""
    for page in pages():
        for block in blocks(page):
            first = block.text.strip().splitlines()[0]
            state = f"not run ({block.reason})" if block.reason else "run"
            name = page.relative_to(REPOSITORY).as_posix()
            print(f"{name}:{block.line}: {block.language}: {state}: {first}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
