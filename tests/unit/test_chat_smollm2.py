"""SmolLM2's tokenizer out of a GGUF: a tiny one written here, and the real one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, pre_tokenizers

from openthoughts_cli.chat.bytelevel import byte_symbols
from openthoughts_cli.chat.renderer import Renderer, load_renderer
from openthoughts_cli.chat.smollm2 import (
    smollm2_gguf,
    write_tokenizer_from_gguf,
)
from openthoughts_cli.errors import IntegrityError, MissingExtraError, NetworkError
from openthoughts_cli.places import cache_dir
from tests.doubles.chat_models import SMOLLM2

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ċ Ċ", "Ġ Ġ", "h i"]

TEXTS = [
    "",
    "Hello, world! It's 12 + 7 = 19.",
    "<think>\nx = 3.14159\n</think>\n\nanswer",
    "def f(x):\n    return x ** 2\n\n\n\ttabs  and   blanks \n",
    "Cafe\u0301 日本語 🙂👍🏽 Россия \x00\x7f\u200b\r\n",
    "<|im_start|>user\nq<|im_end|>\n<repo_name><|im_end|>",
]
DIGITS_AFTER_BLANKS = ["a  1", "x\n\n3", "  12 ", "²³ ½ ٣ １２"]


def write_gguf(path: Path, *, pre: str = "smollm") -> Path:
    gguf = pytest.importorskip("gguf")
    tokens = [*CONTROL, *byte_symbols(), *(merge.replace(" ", "") for merge in MERGES)]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(CONTROL) + [1] * (len(tokens) - len(CONTROL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(SMOLLM2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_tokens_merges_and_template_come_from_the_gguf(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_tokenizer_from_gguf(write_gguf(tmp_path / "m.gguf"), folder)
    renderer = load_renderer(str(folder))
    assert renderer.prompt_text("q").startswith("<|im_start|>system\nYou are a test.<|im_end|>")
    assert renderer.stop_tokens == (2, 0)
    target = renderer.example("q", "hi<think>\n\n3").target
    # "\n\n" is one token although a digit follows: digits are split off first.
    spelled = [renderer.decode([token]) for token in target[:-1]]
    assert spelled == ["hi", "<", "t", "hi", "n", "k", ">", "\n\n", "3"]


def test_a_gguf_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="gpt2/qwen2, not gpt2/smollm"):
        write_tokenizer_from_gguf(write_gguf(tmp_path / "m.gguf", pre="qwen2"), tmp_path)


@cache
def smollm2() -> Renderer:
    try:
        return load_renderer("smollm2-135m")
    except (MissingExtraError, NetworkError) as error:
        pytest.skip(error.message)


def ours(text: str) -> list[int]:
    return list(smollm2().example("q", text).target[:-1])


@pytest.mark.slow
@pytest.mark.model
def test_golden_ids_of_smollm2() -> None:
    example = smollm2().example("What is 12 +  7?", "<think>\nx\n\n3\n</think>\n\n19")
    assert example.prompt == (
        *(1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28),
        *(7018, 411, 407, 19712, 8182, 2, 198),
        *(1, 4093, 198, 1780, 314, 216, 33, 34, 1232, 256, 39, 47, 2, 198),
        *(1, 520, 9531, 198),
    )
    # "<think>" is three plain tokens here.
    assert example.target == (
        *(44, 17400, 46, 198, 104, 1116, 35, 198, 9617, 17400, 46, 1116, 33, 41, 2),
    )
    assert smollm2().stop_tokens == (2, 0)
    assert smollm2().control_tokens_in("<think> usage: f <filename><|im_end|>") == (
        "<filename>",
        "<|im_end|>",
    )


@pytest.mark.slow
@pytest.mark.model
def test_no_token_joins_digits_or_a_blank_and_a_digit() -> None:
    """Why digits are split first: the vocabulary was learned that way."""
    vocabulary = Tokenizer.from_file(str(smollm2().tokenizer_file)).get_vocab()
    assert not [t for t in vocabulary if len(t) > 1 and any(c in "0123456789" for c in t)]


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.torch
def test_ids_equal_those_of_transformers_reading_the_gguf() -> None:
    smollm2()
    from transformers import AutoTokenizer

    path = smollm2_gguf()
    theirs: Any = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)

    def ids(text: str) -> list[int]:
        return list(theirs.encode(text, add_special_tokens=False))

    assert [ours(text) for text in TEXTS[:3]] == [ids(text) for text in TEXTS[:3]]
    # transformers leaves out the split of digits that the GGUF names; with it, all are equal.
    theirs.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    for text in TEXTS + DIGITS_AFTER_BLANKS:
        assert ours(text) == ids(text)


@pytest.mark.slow
@pytest.mark.model
def test_the_folder_is_one_that_transformers_loads() -> None:
    from transformers import AutoTokenizer

    renderer = smollm2()
    folder = cache_dir() / "tokenizers" / "smollm2-135m"
    theirs: Any = AutoTokenizer.from_pretrained(str(folder))
    assert theirs.eos_token == "<|im_end|>"
    for text in TEXTS + DIGITS_AFTER_BLANKS:
        assert ours(text) == list(theirs.encode(text, add_special_tokens=False))
        turns = [{"role": "user", "content": text}]
        prompt = theirs.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        assert list(renderer.prompt(text)) == list(prompt)
