"""Untrusted text becomes Markdown that fetches nothing and runs nothing."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from openthoughts_cli.evals.final_answer import final_answer
from openthoughts_cli.explorer.loss_mask import between
from openthoughts_cli.explorer.spans import spans
from openthoughts_cli.explorer.text import cut_into_parts, one_line, pieces, to_markdown

_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
_DANGEROUS = {"html_block", "html_inline", "image", "link_open"}


def _kinds(text: str) -> set[str]:
    """What a Markdown reader with HTML allowed makes of it, LaTeX taken out as Streamlit does."""
    bare = re.sub(r"\$\$\n.*?\n\$\$|\$[^$\n]+\$", "", to_markdown(text), flags=re.DOTALL)
    found: set[str] = set()

    def walk(tokens: list[Any]) -> None:
        for token in tokens:
            found.add(token.type)
            walk(token.children or [])

    walk(_MARKDOWN.parse(bare))
    return found


@pytest.mark.parametrize(
    "text",
    [
        '<img src=x onerror="alert(1)">',
        "<script>alert(1)</script>",
        "![x](http://evil.invalid/x.png)",
        "[click](javascript:alert(1))",
        "[a][b]\n\n[b]: http://evil.invalid",
        "<http://evil.invalid>",
        "text\n<div>\n**x**\n</div>",
        "a <!-- b --> c <svg onload=alert(1)>",
        "    <img src=x onerror=alert(1)>",
        "> <iframe src=http://evil.invalid></iframe>",
        "| a | <img src=x> |\n|---|---|\n| ![i](http://e.invalid) | b |",
        "\\<img src=x>",
        "``` <img src=x>\n<b>\n```\n<img src=x>",
        "`a` <img src=x> `b`",
        "&lt;img src=x&gt;",
    ],
)
def test_nothing_of_it_runs_or_fetches(text: str) -> None:
    assert not _kinds(text) & _DANGEROUS


@given(st.text(alphabet='<>![]()`$\\ \nab"=/:&|-#~*', max_size=60))
def test_no_mixture_of_marks_makes_html_links_or_images(text: str) -> None:
    assert not _kinds(text) & _DANGEROUS


def test_streamlits_own_directives_are_plain_characters() -> None:
    assert ":red[" not in to_markdown("a :red[b] :material/home: :smile:")
    assert ":material" not in to_markdown(":material/home:").replace("\\:material", "")


def test_a_bare_address_is_no_link() -> None:
    made = to_markdown(
        "see http://evil.invalid/x, www.evil.invalid, a@evil.invalid and `http://x.y`"
    )
    bare = re.sub("`[^`]*`", "", made)
    assert not re.search(r"https?://|www\.|\w@\w", bare)
    assert "`http://x.y`" in made and made.replace("\u2060", "").startswith("see http")


def test_latex_in_all_spellings_is_latex() -> None:
    assert to_markdown("a \\(x^2\\) b") == "a $x^2$ b"
    assert "\n$$\nx = 1\n$$\n" in to_markdown("a \\[ x = 1 \\] b")
    assert "\n$$\nx\n$$\n" in to_markdown("$$x$$")
    assert "\\begin{aligned}a&=b\\end{aligned}" in to_markdown("\\begin{align*}a&=b\\end{align*}")
    assert to_markdown("$a_b < c$") == "$a_b < c$"


def test_dollars_that_are_money_stay_dollars() -> None:
    assert to_markdown("from $5 to $10 each") == "from \\$5 to \\$10 each"


def test_code_keeps_every_character_and_its_language() -> None:
    text = "look:\n```python\nif a < b & c:\n    print('<b>')\n```\nend"
    made = to_markdown(text)
    assert "```python\nif a < b & c:\n    print('<b>')\n```" in made
    assert [piece.kind for piece in pieces(text)] == ["prose", "code", "prose"]
    assert next(iter(pieces("```\nopen"))).text == "open"


def test_a_fence_inside_code_cannot_end_it() -> None:
    made = to_markdown("````\n```\n<img src=x>\n```\n````")
    assert not _kinds("````\n```\n<img src=x>\n```\n````") & _DANGEROUS
    assert made.count("````") == 2


def test_tables_lists_and_headings_are_kept() -> None:
    text = "## A\n\n- one\n- two\n\n| a | b |\n|---|---|\n| $x|y$ | 2 |"
    kinds = _kinds(text)
    assert {"heading_open", "bullet_list_open", "table_open"} <= kinds


@given(st.text(max_size=3000), st.integers(min_value=2, max_value=700))
def test_parts_joined_are_the_text(text: str, most: int) -> None:
    parts = cut_into_parts(text, most)
    assert "".join(parts) == text
    assert all(len(part) <= most for part in parts)


def test_a_line_is_short_and_has_no_controls() -> None:
    assert one_line("a\n\nb\x00c") == "a b\ufffdc"
    assert len(one_line("word " * 100_000)) == 161


@pytest.mark.parametrize(
    "mark",
    [
        *(
            "\\[",
            "\\(",
            "$",
            "$$a",
            "`a\n",
            "``a ",
            "\\begin{align}",
            "\\(\n",
            "```a\n````\n",
            "> ",
        ),
        pytest.param("~", id="tildes"),
        pytest.param(" ", id="spaces"),
    ],
)
def test_a_flood_of_one_mark_is_read_in_one_pass(mark: str) -> None:
    flood = f"```{mark * (200_000 // len(mark))}`"  # read once per mark it would take minutes
    assert len(to_markdown(flood)) >= 100_000
    assert final_answer(flood).found_in in ("end", "line", "code")


@given(st.text(alphabet="ab `$\\[]()\n", max_size=80))
def test_code_and_latex_stand_in_order_and_none_in_another(text: str) -> None:
    found = list(spans(text))
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    assert all(each.inside in text[each.start : each.end] for each in found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`a` and ``b`c``", [("code", "a"), ("code", "b`c")]),
        ("a `b\n` c", []),
        ("\\(a\nb\\) \\[c\nd\\]", [("display", "c\nd")]),
        ("$a$ $5 and $$b$$", [("inline", "a"), ("display", "b")]),
        ("\\[never \\(x\\)", [("inline", "x")]),
        (
            "\\begin{gather*}a\\end{gather*}",
            [("display", "\\begin{gathered}a\\end{gathered}")],
        ),
        ("\\begin{align}a\\end{align*}", []),
        ("so \\boxed{\\frac{1}{2}}.", [("inline", "\\boxed{\\frac{1}{2}}")]),
        ("$\\boxed{1}$ \\boxed{a\n} \\boxed{ \\boxed{$}", [("inline", "\\boxed{1}")]),
    ],
)
def test_where_code_and_latex_stand(text: str, found: list[tuple[str, str]]) -> None:
    assert [(each.kind, each.inside) for each in spans(text)] == found


@given(st.lists(st.text(max_size=9), max_size=9), st.integers(1, 12))
def test_coloured_pieces_are_cut_into_parts_that_lose_nothing(texts: list[str], size: int) -> None:
    pieces = [(text, index % 2 == 0) for index, text in enumerate(texts)]
    whole = [(char, loss) for text, loss in pieces for char in text]
    parts = [list(between(pieces, at, at + size)) for at in range(0, len(whole), size)]
    assert [(c, loss) for part in parts for text, loss in part for c in text] == whole
    assert all(sum(len(text) for text, _ in part) <= size for part in parts)


@settings(max_examples=300)
@given(st.text(alphabet="a#=->\n \t", max_size=40))
def test_no_heading_is_as_large_as_the_pages_own(text: str) -> None:
    tokens = _MARKDOWN.parse(to_markdown(text))
    assert {token.tag for token in tokens if token.type == "heading_open"} <= {"h4", "h5", "h6"}


def test_headings_keep_their_order_and_their_words() -> None:
    assert to_markdown("# a $x$\n\n### b") == "#### a $x$\n\n###### b"
    assert to_markdown("- # a\n1. - ## b\n\t# c").count("####") == 3
    assert "hr" in _kinds("a\n---\nb") and "heading_open" not in _kinds("a\n===\nb\n-\nc")
