"""A chat template as transformers renders it, without importing transformers (3 s).

The Jinja environment is the sandbox that `apply_chat_template` uses: immutable, `trim_blocks` and
`lstrip_blocks`, the filter `tojson`, `raise_exception`, `strftime_now` and the `generation` tag.
One thing differs on purpose: `strftime_now` answers `PINNED_DATE`, so that a template that writes
today's date (Llama 3) gives the same prompt every day, in training and in evaluation.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping
from typing import Any

from openthoughts_cli.errors import ModelError

__all__ = ["PINNED_DATE", "PLAIN_TEMPLATE", "ChatTemplate"]

PINNED_DATE = datetime.datetime(2024, 7, 26, tzinfo=datetime.UTC)
"""What `strftime_now` says: the date that Llama 3's own template falls back to."""

PLAIN_TEMPLATE = (
    "{{ (bos_token or '') + 'Question:\\n' + messages[0]['content'] + '\\n\\nAnswer:\\n' }}"
)
"""For a base model without a template. It ends in a line break, not a blank: a trailing blank would
belong to the next word's token and make a token sequence that base models hardly saw."""

# Never in a question; what a template writes around it belongs to the template.
_MARK = "0f6d1c2e-answer-mark"


class ChatTemplate:
    """A compiled template with the special tokens it may write.

    Args:
        text: the Jinja source.
        special_tokens: such as {"bos_token": "<s>", "eos_token": "</s>"}; absent ones are undefined.
        model: for messages.

    Raises:
        ModelError: the source is not a valid template.
    """

    def __init__(self, text: str, special_tokens: Mapping[str, str], *, model: str) -> None:
        import jinja2

        self.text = text
        self.model = model
        self.special_tokens = dict(special_tokens)
        self._before: str | None = None
        try:
            self._template = _environment().from_string(text)
        except jinja2.TemplateError as error:
            raise ModelError(
                f"the chat template of {model} cannot be read: {error}",
                hint="correct the template (chat_template.jinja, or chat_template in "
                "tokenizer_config.json) in a copy of the model's folder, and give that folder",
            ) from error

    def prompt(self, question: str) -> str:
        """The text of one user turn and the generation prompt.

        Raises:
            ModelError: the template refuses or cannot render a single user turn.
        """
        return self._render([{"role": "user", "content": question}], generation_prompt=True)

    def before_question(self) -> str:
        """What the template writes before the user's text."""
        if self._before is None:
            self._before = self.prompt(_MARK).partition(_MARK)[0]
        return self._before

    def after_answer(self) -> str | None:
        """What the template writes after an assistant's text; None when it renders none."""
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
        try:
            text = self._render(turns, generation_prompt=False)
        except ModelError:
            return None  # a template for single prompts; the end-of-sequence token serves
        _, found, rest = text.rpartition(_MARK)
        return rest if found else None

    def _render(self, messages: list[dict[str, str]], *, generation_prompt: bool) -> str:
        import jinja2

        try:
            return self._template.render(
                **self.special_tokens,
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=generation_prompt,
            )
        except (
            *(jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError),
            *(ArithmeticError, RecursionError, MemoryError),  # of one that was made to hurt
        ) as error:
            raise ModelError(
                f"the chat template of {self.model} cannot render a single question: {error}",
                hint="use a model whose template takes one user turn, or a folder of your own "
                "with another chat_template.jinja",
            ) from error


@functools.cache
def _environment() -> Any:
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    class GenerationTag(jinja2.ext.Extension):
        """`{% generation %}...{% endgeneration %}`, which marks assistant text: passed through."""

        tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        # Jinja's own filter would escape <, > and & for HTML.
        return json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    own: dict[str, Any] = {"raise_exception": raise_exception, "strftime_now": PINNED_DATE.strftime}
    environment.globals.update(own)
    return environment
