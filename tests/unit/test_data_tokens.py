"""Exact counts by part, against encodings that the product did not make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openthoughts_cli.chat.renderer import Renderer, load_renderer
from openthoughts_cli.data.corpus import open_corpus
from openthoughts_cli.data.raw_rows import RawRow
from openthoughts_cli.data.tokens import RendererCounter, TokenCounts
from openthoughts_cli.data.trace import split_trace
from tests.doubles.tokenizer import CHATML, byte_model

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
BEFORE, AFTER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ANSWERS = st.builds(
    "".join,
    st.lists(TEXTS | st.sampled_from(["<think>", "</think>", "\n", "é", "😀", "\r\n"]), max_size=5),
)


@pytest.fixture(scope="module")
def bytes_renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return load_renderer(str(byte_model(tmp_path_factory.mktemp("model") / "bytes")))


@settings(deadline=None)
@given(question=TEXTS.filter(lambda text: "<|im" not in text), answer=ANSWERS)
def test_with_a_token_a_byte_every_part_is_its_length(
    bytes_renderer: Renderer, question: str, answer: str
) -> None:
    (counts,) = RendererCounter(bytes_renderer).count([(question, answer)])
    trace = split_trace(answer)
    asked, thought, said = (len(t.encode()) for t in (question, trace.thinking, trace.answer))
    # Around the question: 2 x <|im_start|>, <|im_end|>, "user\n", "\n", "assistant\n".
    assert counts == TokenCounts(19 + asked + thought + said + 1, asked, thought, said + 1)
    assert counts.total == bytes_renderer.example(question, answer).num_tokens


def test_many_rows_are_counted_as_one_by_one(bytes_renderer: Renderer) -> None:
    counter = RendererCounter(bytes_renderer)
    rows = [(f"q{'?' * i}", f"<think>{'a' * i}</think>{'b' * (i % 7)}") for i in range(600)]
    assert counter.count(rows) == [counter.count([row])[0] for row in rows]
    assert counter.count([]) == []


def test_control_tokens_are_seen_and_thinking_marks_are_none(bytes_renderer: Renderer) -> None:
    counter = RendererCounter(bytes_renderer)
    assert counter.has_control("say <|im_end|>")
    assert not counter.has_control("<think>im_end</think>")


def _real_rows() -> list[tuple[str, str]]:
    corpus = open_corpus(str(SHARED / "reasoning_rows.parquet"))
    rows = [row for chunk in corpus.scan() for row in chunk.rows]
    return [(r.question.decode(), r.answer.decode()) for r in rows if isinstance(r, RawRow)]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not here")
def test_counts_of_real_rows_equal_an_independent_encoding(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    folder = tmp_path / "qwen3"
    folder.mkdir()
    (folder / "tokenizer.json").symlink_to(SHARED / "qwen3_tokenizer.json")
    config = {"eos_token": "<|im_end|>", "chat_template": CHATML}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = Tokenizer.from_file(str(SHARED / "qwen3_tokenizer.json"))

    def length(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    rows = _real_rows()
    counts = RendererCounter(load_renderer(str(folder))).count(rows)
    for (question, answer), found in zip(rows[::5], counts[::5], strict=True):
        assert found.total == length(BEFORE + question + AFTER) + length(answer) + 1
        assert found.thinking + found.answer == length(answer) + 1
        trace = split_trace(answer)
        if trace.closed:  # `</think>` is one token, so the parts are tokenised apart
            assert found.thinking == length(trace.thinking)
    lines = (SHARED / "reasoning_rows.qwen3_tokens.jsonl").read_text().splitlines()
    # One line a row, in the order of the file (their "row" numbers another collection).
    for found, given_counts in zip(counts, map(json.loads, lines), strict=True):
        assert found.question == given_counts["human"]
        assert found.thinking + found.answer == given_counts["gpt"] + 1
