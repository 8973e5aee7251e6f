"""The Jinja environment renders what transformers' apply_chat_template renders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.chat.renderer import load_renderer
from openthoughts_cli.chat.template import PINNED_DATE, ChatTemplate
from openthoughts_cli.errors import ModelError
from tests.doubles.chat_models import TEMPLATES, chatml_folder, llama3_folder

QUESTIONS = [
    "What is 2 + 2?",
    "",
    "  spaces and\n\nlines \n",
    "<think>\nx</think> <b>&amp;</b> 'q' \"d\" {{ 7 * 7 }} {% raw %}",
    "日本語 🙂 é\r\n\t",
]


def folder_of(family: str, folder: Path) -> Path:
    template = TEMPLATES[family]
    return (
        llama3_folder(folder, template) if family == "llama3" else chatml_folder(folder, template)
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(TEMPLATES))
def test_prompts_equal_those_of_transformers(family: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = folder_of(family, tmp_path)
    theirs: Any = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    ours = load_renderer(str(folder))
    # Their date is today's; pin theirs as ours is.
    date = {"date_string": PINNED_DATE.strftime("%d %b %Y")} if family == "llama3" else {}
    for question in QUESTIONS:
        turns = [{"role": "user", "content": question}]
        text = theirs.apply_chat_template(turns, add_generation_prompt=True, tokenize=False, **date)
        assert ours.prompt_text(question) == text
        tokens = theirs.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=False, **date
        )
        assert list(ours.prompt(question)) == list(tokens)


@pytest.mark.slow
def test_filters_and_globals_equal_those_of_transformers() -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    template = (
        "{%- set ns = namespace(n=0) %}\n"
        "{%- for i in range(5) %}\n    {%- if i == 1 %}{% continue %}{% endif %}\n"
        "    {%- if i == 3 %}{% break %}{% endif %}\n{%- set ns.n = ns.n + i %}\n{%- endfor %}\n"
        "{{ ns.n }} {{ messages | tojson }} {{ messages | tojson(indent=2) }}\n"
        "    {% if tools is none %}no tools{% endif %}\n"
        "{% generation %}{{ dict(a='<é>') | tojson }}{% endgeneration %}\n"
        "{{ bos_token | default('no bos') }}{{ eos_token }}\n\n"
    )
    theirs, _ = render_jinja_template(
        conversations=[[{"role": "user", "content": "<é & 'x'>"}]],
        chat_template=template,
        add_generation_prompt=True,
        eos_token="</s>",
    )
    ours = ChatTemplate(template, {"eos_token": "</s>"}, model="m").prompt("<é & 'x'>")
    assert ours == theirs[0]


def test_the_pinned_date_is_the_same_every_day() -> None:
    template = ChatTemplate("{{ strftime_now('%d %b %Y / %Y-%m-%d') }}", {}, model="m")
    assert template.prompt("q") == "26 Jul 2024 / 2024-07-26"


def test_a_question_is_data_not_template() -> None:
    template = ChatTemplate("{{ messages[0].content }}", {}, model="m")
    assert template.prompt("{{ 7 * 7 }}<&>") == "{{ 7 * 7 }}<&>"


def test_after_answer_is_what_follows_the_assistant_text() -> None:
    def after(text: str) -> str | None:
        return ChatTemplate(text, {}, model="m").after_answer()

    assert after("{% for m in messages %}{{ m.content }}<end>\n{% endfor %}!") == "<end>\n!"
    assert after("{{ messages[0].content }}") is None
    assert after("{{ raise_exception('one turn only') }}") is None


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 // 0 }}",
        "{% for i in range(10 ** 9) %}{{ i }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('touch /tmp/ot-was-here') }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_template_made_to_hurt_is_refused(source: str) -> None:
    with pytest.raises(ModelError):
        ChatTemplate(source, {}, model="m").prompt("hello")
    assert not Path("/tmp/ot-was-here").exists()
