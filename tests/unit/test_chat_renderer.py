"""The renderer on small tokenizers of every template family."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.chat.renderer import Renderer, load_renderer
from openthoughts_cli.errors import ModelError
from openthoughts_cli.events import Event, Notice
from tests.doubles.chat_models import (
    CHATML,
    LLAMA3,
    QWEN3_HYBRID,
    QWEN35,
    SMOLLM2,
    chatml_folder,
    llama3_folder,
    write_folder,
)

TRACE = "<think>\nadd them\n</think>\n\n\\boxed{4}"
QUESTION = "What is 2 + 2?"


@pytest.fixture(scope="module")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return load_renderer(str(chatml_folder(tmp_path_factory.mktemp("chatml"))))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return load_renderer(str(chatml_folder(tmp_path_factory.mktemp("opened"), QWEN35)))


def text_of(renderer: Renderer, question: str, answer: str) -> str:
    return "".join(text for text, _ in renderer.pieces(renderer.example(question, answer)))


def test_chatml_prompt_is_the_template_and_target_is_the_answer(chatml: Renderer) -> None:
    pieces = chatml.pieces(chatml.example(QUESTION, TRACE))
    assert pieces == [
        ("<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n", False),
        (TRACE + "<|im_end|>", True),
    ]


def test_hybrid_template_does_not_rewrite_the_answer(tmp_path: Path) -> None:
    renderer = load_renderer(str(chatml_folder(tmp_path, QWEN3_HYBRID)))
    odd = "<think>  \n\n spaced\n\n\n</think>answer\n"
    assert not renderer.opens_thinking
    assert renderer.pieces(renderer.example("q", odd))[1] == (odd + "<|im_end|>", True)


def test_smollm2_template_writes_its_system_prompt(tmp_path: Path) -> None:
    renderer = load_renderer(str(chatml_folder(tmp_path, SMOLLM2)))
    assert text_of(renderer, "q", "a") == (
        "<|im_start|>system\nYou are a test.<|im_end|>\n"
        "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>"
    )


def test_llama3_has_one_bos_and_a_pinned_date(tmp_path: Path) -> None:
    renderer = load_renderer(str(llama3_folder(tmp_path)))
    assert renderer.prompt_text(" q ") == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Today Date: 26 Jul 2024\n\n<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    example = renderer.example(" q ", " a ")
    assert renderer.decode(example.target) == " a "
    bos = example.prompt[0]
    assert [*example.prompt, *example.target].count(bos) == 1
    assert renderer.decode([bos]) == "<|begin_of_text|>"


def test_an_opened_think_is_not_opened_again(opened: Renderer) -> None:
    assert opened.opens_thinking
    example = opened.example(QUESTION, TRACE)
    assert opened.pieces(example)[0][0].endswith("<|im_start|>assistant\n<think>\n")
    assert opened.decode(example.target) == "add them\n</think>\n\n\\boxed{4}"
    assert opened.answer_text(example.target) == TRACE


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("<think>\nx</think>y", "x</think>y"),
        ("<think>\n\nx</think>y", "\nx</think>y"),
        ("<think> x</think>y", " x</think>y"),
        ("\n <think>\nx</think>y", "x</think>y"),
        ("no thinking at all", "no thinking at all"),
        (" <thinking>", " <thinking>"),
        ("", ""),
    ],
)
def test_only_the_opening_that_the_prompt_has_is_left_out(
    opened: Renderer, answer: str, target: str
) -> None:
    assert opened.target_text(answer) == target


def test_a_think_in_the_question_opens_nothing(chatml: Renderer) -> None:
    assert chatml.prompt_text("<think>\n").endswith("assistant\n")
    assert not chatml.opens_thinking
    assert chatml.target_text(TRACE) == TRACE


def test_a_truncated_trace_is_verbatim(chatml: Renderer, opened: Renderer) -> None:
    cut = "<think>\nlet me see, hello wor"
    assert chatml.decode(chatml.example("q", cut).target) == cut
    assert opened.answer_text(opened.example("q", cut).target) == cut


def test_prompt_and_target_are_tokenised_apart(chatml: Renderer) -> None:
    # "\n" ends the prompt and "\n" begins the answer; together they would be the token "\n\n".
    example = chatml.example("q", "\nx")
    assert example.prompt == chatml.prompt("q")
    assert chatml.decode(example.prompt[-1:]) == "\n"
    assert chatml.decode(example.target[:1]) == "\n"


def test_end_of_turn_comes_from_the_template_not_from_eos(tmp_path: Path) -> None:
    # As Qwen3-Base: ChatML template, end of text as eos.
    renderer = load_renderer(str(chatml_folder(tmp_path, eos_token="<|endoftext|>")))
    assert text_of(renderer, "q", "a").endswith("a<|im_end|>")
    spelled = [renderer.pieces(renderer.example("q", ""))[1][0], *renderer.stop_tokens]
    assert spelled[0] == "<|im_end|>"
    assert len(renderer.stop_tokens) == 2


def test_generation_config_adds_stop_tokens(tmp_path: Path) -> None:
    folder = llama3_folder(tmp_path)
    plain = load_renderer(str(folder))
    begin = plain.prompt("q")[0]
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [begin, 999_999, -1]})
    )
    assert load_renderer(str(folder)).stop_tokens == (
        plain.stop_tokens[0],
        begin,
        *plain.stop_tokens[1:],
    )


def test_decode_leaves_out_stop_tokens_at_the_end_only(chatml: Renderer) -> None:
    end, text_end = chatml.stop_tokens
    word = chatml.example("q", "hello").target[:-1]
    assert chatml.decode([*word, end, *word, end, text_end]) == "hello<|im_end|>hello"
    assert chatml.decode([end]) == ""
    assert chatml.decode([]) == ""


def test_control_tokens_are_found_in_order_and_thinking_is_none(chatml: Renderer) -> None:
    text = "<think>a<|im_end|>b<tool_call>c<|im_end|><|endoftext|></think> <|eot_id|> <b>"
    assert chatml.control_tokens_in(text) == ("<|im_end|>", "<tool_call>", "<|endoftext|>")
    assert chatml.control_tokens_in("<|im_end |> plain < text |>") == ()


def test_control_tokens_found_are_those_that_tokenise_as_such(chatml: Renderer) -> None:
    text = "x<|im_end|>y"
    assert chatml.stop_tokens[0] in chatml.example("q", text).target[:-1]
    assert chatml.stop_tokens[0] not in chatml.example("q", "x<|im_end |>y").target[:-1]


def test_base_model_gets_the_plain_format_and_a_notice(tmp_path: Path) -> None:
    heard: list[Event] = []
    folder = llama3_folder(tmp_path, template=None)
    renderer = load_renderer(str(folder), listener=heard.append)
    assert text_of(renderer, "q", "a") == ("<|begin_of_text|>Question:\nq\n\nAnswer:\na<|eot_id|>")
    assert [type(event) for event in heard] == [Notice]


def test_plain_format_writes_no_bos_that_the_tokenizer_would_not(tmp_path: Path) -> None:
    folder = chatml_folder(tmp_path, None, bos_token="<|im_start|>", eos_token="<|endoftext|>")
    renderer = load_renderer(str(folder))
    assert text_of(renderer, "q", "a") == "Question:\nq\n\nAnswer:\na<|endoftext|>"


def test_truncation_asked_for_by_the_file_is_switched_off(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path, added={"<|e|>": True}, config={"eos_token": "<|e|>"}, truncation=True
    )
    renderer = load_renderer(str(folder))
    assert renderer.decode(renderer.example("q", "a long answer").target) == "a long answer"


def test_pieces_join_characters_that_tokens_split(chatml: Renderer) -> None:
    example = chatml.example("🙂 é", "日本 🎉")
    assert len(example.target) > 8  # bytes, not characters
    assert chatml.pieces(example)[1] == ("日本 🎉<|im_end|>", True)
    assert "🙂 é" in chatml.pieces(example)[0][0]


def test_examples_equal_one_by_one_over_a_batch_boundary(chatml: Renderer) -> None:
    rows = [(f"q{i} hello", f"<think>\n{i}\n</think>\n{i * i}") for i in range(300)]
    assert chatml.examples(rows) == [chatml.example(q, a) for q, a in rows]
    assert chatml.examples([]) == []


def test_num_tokens_counts_prompt_and_target(chatml: Renderer) -> None:
    example = chatml.example("q", "a")
    assert example.num_tokens == len(example.prompt) + len(example.target)
    assert len(chatml.example("q", "").target) == 1


def test_digest_follows_tokenizer_template_and_ends(tmp_path: Path) -> None:
    first = load_renderer(str(chatml_folder(tmp_path / "a"))).digest
    assert len(first) == 32
    assert load_renderer(str(chatml_folder(tmp_path / "b"))).digest == first
    digests = {
        first,
        load_renderer(str(chatml_folder(tmp_path / "c", SMOLLM2))).digest,
        load_renderer(str(chatml_folder(tmp_path / "d", eos_token="<|endoftext|>"))).digest,
        load_renderer(str(llama3_folder(tmp_path / "e"))).digest,
    }
    assert len(digests) == 4


def test_template_file_wins_over_the_config(tmp_path: Path) -> None:
    folder = chatml_folder(tmp_path, SMOLLM2)
    (folder / "chat_template.jinja").write_text(CHATML)
    assert load_renderer(str(folder)).prompt_text("q").startswith("<|im_start|>user")


def test_named_templates_give_the_default_one(tmp_path: Path) -> None:
    folder = chatml_folder(tmp_path)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["chat_template"] = [
        {"name": "tool_use", "template": "x"},
        {"name": "default", "template": CHATML},
    ]
    path.write_text(json.dumps(config))
    assert load_renderer(str(folder)).prompt_text("q").startswith("<|im_start|>user")
    config["chat_template"] = config["chat_template"][:1]
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="tool_use"):
        load_renderer(str(folder))


def test_special_tokens_map_serves_when_the_config_is_silent(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, added={"<|e|>": True}, config={})
    (folder / "special_tokens_map.json").write_text('{"eos_token": {"content": "<|e|>"}}')
    assert text_of(load_renderer(str(folder)), "q", "a").endswith("a<|e|>")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for %}", "cannot be read"),
        ("{{ raise_exception('two turns, please') }}", "two turns, please"),
        ("{{ messages[1].content }}", "cannot render"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_bad_template_is_one_clear_error(tmp_path: Path, template: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_renderer(str(chatml_folder(tmp_path, template)))


def test_a_folder_without_tokenizer_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no tokenizer\.json") as caught:
        load_renderer(str(tmp_path))
    assert "save_pretrained" in (caught.value.hint or "")


@pytest.mark.parametrize("content", ["", "[]", '{"version": "1.0"}', "not json"])
def test_a_broken_tokenizer_is_a_model_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        load_renderer(str(tmp_path))


@pytest.mark.parametrize("content", ["[]", "{"])
def test_a_broken_config_is_a_model_error(tmp_path: Path, content: str) -> None:
    folder = chatml_folder(tmp_path)
    (folder / "tokenizer_config.json").write_text(content)
    with pytest.raises(ModelError, match="tokenizer_config"):
        load_renderer(str(folder))


def test_a_model_that_names_no_end_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, added={"<|e|>": True}, config={})
    with pytest.raises(ModelError, match="names no token that ends an answer"):
        load_renderer(str(folder))


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c", "", "spaces in it"])
def test_a_folder_that_does_not_exist_is_said_so(name: str) -> None:
    with pytest.raises(ModelError, match="no folder"):
        load_renderer(name)


@given(question=st.text(max_size=40), answer=st.text(max_size=80))
def test_any_text_comes_back_verbatim(chatml: Renderer, question: str, answer: str) -> None:
    example = chatml.example(question, answer)
    assert example.target[-1] == chatml.stop_tokens[0]
    if not chatml.control_tokens_in(answer):
        assert chatml.decode(example.target) == answer
    assert chatml.pieces(example)[0][0] == chatml.prompt_text(question)


@given(body=st.text(max_size=60))
def test_thinking_comes_back_verbatim_when_the_prompt_opens_it(opened: Renderer, body: str) -> None:
    answer = f"<think>\n{body}"
    if not opened.control_tokens_in(answer):
        assert opened.answer_text(opened.example("q", answer).target) == answer


def test_llama3_template_without_a_bos_token_renders_none(tmp_path: Path) -> None:
    renderer = load_renderer(str(chatml_folder(tmp_path, LLAMA3)))
    assert renderer.prompt_text("q").startswith("<|start_header_id|>system")


@given(question=st.text(max_size=30), answer=st.text(max_size=50), share=st.floats(0, 1))
def test_measuring_counts_what_examples_have(
    chatml: Renderer, opened: Renderer, question: str, answer: str, share: float
) -> None:
    for renderer, text in ((chatml, answer), (opened, answer), (opened, f"<think>\n{answer}")):
        cut = int(len(text) * share)
        example = renderer.example(question, text)
        at, none, whole = renderer.measure(
            [(question, text, c) for c in (cut, 0, len(text) + bool(text))]
        )
        assert (at.prompt, at.target) == (len(example.prompt), len(example.target))
        assert none.head == 0 <= at.head <= whole.head == at.target - 1
        assert at.question <= at.prompt


def test_measuring_finds_the_question_and_the_cut(chatml: Renderer) -> None:
    answer = "<think>hello</think>hell"
    (found,) = chatml.measure([("hello", answer, len("<think>hello</think>"))])
    assert (found.question, found.head, found.target) == (1, 3, 5)


def test_measuring_counts_all_tokens_of_a_character_before_the_cut(chatml: Renderer) -> None:
    rows = [("q", "é🙂x", cut) for cut in range(4)]
    assert [found.head for found in chatml.measure(rows)] == [0, 2, 6, 7]
