"""The fast counter against the renderer's own measure: to the token, on any text, or not used."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openthoughts_cli.chat.renderer import Renderer, load_renderer
from openthoughts_cli.data.arrow_counts import NEWER, WINDOW_BYTES
from openthoughts_cli.data.arrow_encoder import ArrowEncoder, resident_bytes
from openthoughts_cli.data.fast_tokens import PROBE, FastCounter
from openthoughts_cli.data.tokens import RendererCounter
from openthoughts_cli.errors import NetworkError
from openthoughts_cli.events import Event, Notice
from tests.doubles.chat_models import CHATML, LLAMA3, QWEN35, chatml_folder, llama3_folder
from tests.doubles.tokenizer import byte_model
from tests.tools.tally import SOAK

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

PIECES = [
    "<think>", "</think>", "<think>\n", "</think>\n\n", "<thin", "k>", "</THINK>", " <think> ",
    "<|im_end|>", "<|im_start|>user\n", "<|endoftext|>", "<|im_", "|>", "<tool_call>", "<|eot_id|>",
    "e\u0301", "\u212b", "\u2126", "A\u030a", "\u0301", "\u0323\u0307", "\u1100\u1161\u11a8",
    "\u0958", "\ufb1d", "\u2adc", "\U0001d15e", "\U000105d2\u0307", "e\u1abf\u0301", "\U0001611e\U0001611e", "\u0300\u0345\u0301",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\u2764\ufe0f",
    "\r\n", "\r", "\n\n", "\n", "  ", "\t", "\u00a0", "\u3000", "\u2028", "\x85", "\x1c", "\x0b",
    "\x00", "\x1b[0m", "\x7f", "\ufeff", "\ufffd", "\u200b", "\ue000", "\U0010ffff",
    "hello", " hello", "I'm", "WE'LL", "'\u017f", "123456", "\u0661\u0662", "\u00bd", "3.14e-10",
    "\\boxed{42}", "x = y", "\u4f60\u597d", "\u0928\u092e\u0938\u094d\u0924\u0947",
]  # fmt: skip
TEXTS = st.builds(
    "".join,
    st.lists(
        st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        max_size=12,
    ),
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), max_size=6)


def with_nfc(folder: Path) -> Path:
    return edited(folder, lambda form: form.update(normalizer={"type": "NFC"}))


def edited(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    path = folder / "tokenizer.json"
    form = json.loads(path.read_text(encoding="utf-8"))
    edit(form)
    path.write_text(json.dumps(form), encoding="utf-8")
    return folder


@pytest.fixture(
    scope="module", params=["plain", "nfc", "opens-thinking", "thinking-as-text", "as-text-nfc"]
)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    folder = tmp_path_factory.mktemp("model") / "small"
    match request.param:
        case "plain":
            chatml_folder(folder)
        case "nfc":
            with_nfc(chatml_folder(folder, CHATML.replace("m['content']", "m['content'] | trim")))
        case "opens-thinking":
            with_nfc(chatml_folder(folder, QWEN35))
        case "thinking-as-text":
            llama3_folder(folder)
        case _:
            with_nfc(llama3_folder(folder, LLAMA3.replace("\\n\\n' }}", "\\n\\n<think>' }}")))
    return load_renderer(str(folder))


def agree(renderer: Renderer, rows: list[tuple[str, str]]) -> None:
    fast, exact = FastCounter(renderer), RendererCounter(renderer)
    assert fast.library == "gigatoken"
    compare(fast, exact, rows)


def compare(fast: FastCounter, exact: RendererCounter, rows: list[tuple[str, str]]) -> None:
    questions = pa.array([question for question, _ in rows], pa.large_string())
    answers = pa.array([answer for _, answer in rows], pa.large_string())
    found = fast.count_columns(questions, answers)
    wanted = exact.count_columns(questions, answers)
    assert found.rows() == wanted.rows()
    assert found.control.tolist() == wanted.control.tolist()
    totals = wanted.total.tolist()
    for at_most in {max(min(totals, default=0) - 1, 1), sum(totals) // max(len(totals), 1)}:
        part = fast.count_columns(questions, answers, at_most=at_most)
        assert part.control.tolist() == wanted.control.tolist()
        assert part.question.tolist() == wanted.question.tolist()
        for some, whole in zip(part.rows(), wanted.rows(), strict=True):
            assert at_most < some.total <= whole.total or some == whole
    assert fast.count(rows) == wanted.rows()


@pytest.mark.slow
@settings(deadline=None, max_examples=40 * SOAK)
@given(rows=ROWS)
def test_any_text_is_counted_as_the_renderer_does(small: Renderer, rows: list[Any]) -> None:
    agree(small, rows)


def test_what_is_tested_at_the_start_holds_for_every_template(small: Renderer) -> None:
    agree(small, list(PROBE))
    agree(small, [])


@cache
def qwen3() -> tuple[FastCounter, RendererCounter]:
    """Qwen3's own tokenizer, from the cache that all tests share."""
    try:
        renderer = load_renderer("Qwen/Qwen3-8B")
    except NetworkError as error:
        pytest.skip(f"no registry: {error.message}")
    fast = FastCounter(renderer, parallel=False)
    assert fast.library == "gigatoken"
    return fast, RendererCounter(renderer)


@pytest.mark.slow
@settings(deadline=None, max_examples=60 * SOAK)
@given(rows=ROWS)
def test_any_text_in_qwen3s_tokens(rows: list[Any]) -> None:
    compare(*qwen3(), rows)


@pytest.mark.slow
def test_every_character_in_qwen3s_tokens() -> None:
    fast, exact = qwen3()
    last = sys.maxunicode
    planes = [*range(0x20000), *range(0x2F800, 0x2FA20), *range(0xE0000, 0xE01F0), last]
    whole = [chr(code) for code in planes if not 0xD800 <= code < 0xE000]
    apart = [parts for c in whole if len(parts := unicodedata.normalize("NFD", c)) > 1]
    step = 1 if SOAK > 1 else 7  # `make soak` takes every character
    texts = [f"a{c}b 1{c}\n{c}" for c in (*whole[::step], *apart)]
    rows = [("", "".join(texts[at : at + 8])) for at in range(0, len(texts), 8)]
    compare(fast, exact, rows)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not here")
def test_real_rows_in_qwen3s_tokens() -> None:
    table = pq.read_table(SHARED / "reasoning_rows.parquet")
    talks: list[Any] = table.column("conversations").to_pylist()
    rows = [(talk[0]["value"], talk[1]["value"]) for talk in talks]
    fast, exact = qwen3()
    compare(fast, exact, rows)
    lines = (SHARED / "reasoning_rows.qwen3_tokens.jsonl").read_text().splitlines()
    for found, known in zip(fast.count(rows), map(json.loads, lines), strict=True):
        assert found.question == known["human"]
        assert found.thinking + found.answer == known["gpt"] + 1


def test_parts_of_larger_columns_and_many_windows(tmp_path: Path) -> None:
    renderer = load_renderer(str(chatml_folder(tmp_path / "model")))
    text = "<think>hello world 12</think> the end \u00e9 " * 9
    rows = [(f"q{i % 5}", text[i:] * (1 + i % 4)) for i in range(60)]
    large = " in the hello" * (WINDOW_BYTES // 12)
    questions = pa.array(["before", *(q for q, _ in rows), "after", ""], pa.large_string())
    answers = pa.array([large, *(a for _, a in rows), large, "a"], pa.large_string())
    fast = FastCounter(renderer)
    found = fast.count_columns(questions, answers)
    part = fast.count_columns(questions[1:-2], answers[1:-2])
    assert part.rows() == found.rows()[1:-2] == RendererCounter(renderer).count(rows)
    assert found.answer[0] == found.answer[-2] > WINDOW_BYTES // 12
    assert found.rows()[-1].answer == 2


@pytest.mark.slow
def test_characters_that_are_normalised_in_two_ways_are_all_known(tmp_path: Path) -> None:
    from tokenizers.normalizers import NFC

    folder = with_nfc(byte_model(tmp_path / "model"))  # whose tokens show the normalised text
    encoder = ArrowEncoder(folder / "tokenizer.json", parallel=False, memory_cap_bytes=1 << 30)
    planes = [*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE0200)]
    known = [char for char in map(chr, planes) if char not in NEWER]
    # Behind a mark of the last class, before one that composes, and before two.
    for form in ("a\u0345{}", "e{}\u0301", "{}\u0301\u0307"):
        texts = [form.format(char) for char in known]
        texts += [unicodedata.normalize("NFD", text) for text in texts]
        ids = encoder.encode(pa.array(texts, pa.large_string())).ids.tolist()
        normal = "".join(map(NFC().normalize_str, texts))
        assert b"".join(encoder.token_texts[i] for i in ids) == normal.encode()


def _notices(renderer: Renderer) -> tuple[FastCounter, list[str]]:
    heard: list[Event] = []
    fast = FastCounter(renderer, listener=heard.append)
    assert fast.library == "tokenizers"
    compare(fast, RendererCounter(renderer), list(PROBE))
    return fast, [event.text for event in heard if isinstance(event, Notice)]


def test_a_tokenizer_that_gigatoken_gets_wrong_is_counted_by_tokenizers(tmp_path: Path) -> None:
    folder = edited(
        chatml_folder(tmp_path / "model"),
        lambda form: form["pre_tokenizer"].update(use_regex=False),
    )
    renderer = load_renderer(str(folder))
    encoder = ArrowEncoder(renderer.tokenizer_file, parallel=False, memory_cap_bytes=1 << 30)
    text = "the end\n\nhello"
    wrong = encoder.encode(pa.array([text], pa.large_string())).ids.tolist()
    assert wrong != list(renderer.example("", text).target[:-1])  # it would have been
    _, told = _notices(renderer)
    assert len(told) == 1
    assert "gives other tokens" in told[0]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda form: form.update(normalizer={"type": "NFKC"}), "normalised by NFKC"),
        (lambda form: form["model"]["vocab"].pop("\u0104"), "does not know its tokenizer"),
        (lambda form: form["added_tokens"][0].update(rstrip=True), "take white space"),
        (lambda form: form["added_tokens"][0].update(content="></think"), "overlap"),
    ],
)
def test_a_tokenizer_of_another_kind_is_counted_by_tokenizers(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], reason: str
) -> None:
    folder = edited(chatml_folder(tmp_path / "model"), edit)
    _, told = _notices(load_renderer(str(folder)))
    assert len(told) == 1
    assert reason in told[0]


def test_without_gigatoken_tokenizers_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gigatoken", None)
    _, told = _notices(load_renderer(str(chatml_folder(tmp_path / "model"))))
    assert "not installed" in told[0]


def test_nothing_is_loaded_before_the_first_count(tmp_path: Path) -> None:
    heard: list[Event] = []
    folder = edited(
        chatml_folder(tmp_path / "model"), lambda form: form.update(normalizer={"type": "NFKC"})
    )
    fast = FastCounter(load_renderer(str(folder)), listener=heard.append)
    assert fast.digest == load_renderer(str(folder)).digest
    assert fast.has_control("<|im_end|>")
    assert not heard


def test_a_row_that_is_surely_too_long_is_not_encoded_to_its_end(tmp_path: Path) -> None:
    renderer = load_renderer(str(chatml_folder(tmp_path / "model")))
    fast, exact = FastCounter(renderer), RendererCounter(renderer)
    long = "<think> the end of it all " * 400
    texts = [long, long + "<|im_end|>", "short", "=" * 9000, long[:700] + "</think> it", ""]
    rows = [(f"q {i} ", text) for i, text in enumerate(texts)]
    questions, answers = (pa.array(each, pa.large_string()) for each in zip(*rows, strict=True))
    part = fast.count_columns(questions, answers, at_most=200).rows()
    whole = exact.count(rows)
    assert part[2:] == whole[2:]  # short, without a place to cut, or not sure
    for some, all_of_it in zip(part[:2], whole[:2], strict=True):
        assert 200 < some.total < all_of_it.total / 4
    compare(fast, exact, rows)


def _new_words(seed: int, size: int) -> Any:
    letters = np.random.default_rng(seed).integers(97, 123, size, dtype=np.uint8)
    letters[::9] = 32
    text = letters.tobytes().decode()
    return pa.array([text[at : at + 50_000] for at in range(0, size, 50_000)], pa.large_string())


@pytest.mark.slow
def test_the_word_cache_is_let_go_above_its_cap(tmp_path: Path) -> None:
    renderer = load_renderer(str(chatml_folder(tmp_path / "model")))
    cap = 48 << 20
    encoder = ArrowEncoder(renderer.tokenizer_file, parallel=False, memory_cap_bytes=cap)
    first = encoder.encode(_new_words(0, 4 << 20))
    base, most = resident_bytes(), 0
    for seed in range(1, 12):
        encoder.encode(_new_words(seed, 4 << 20))
        most = max(most, resident_bytes() - base)
    assert encoder.times_made > 1
    assert most < 3 * cap
    again = encoder.encode(_new_words(0, 4 << 20))
    assert np.array_equal(first.ids, again.ids)
    assert np.array_equal(first.offsets, again.offsets)
