"""The one way from a question and an answer to tokens, for training and evaluation alike.

Prompt: the model's own chat template over the single user turn, with its generation prompt.
Target: the answer's text verbatim, thinking included, then the end-of-turn token; the loss is on the
target alone. The two are tokenised apart, as they are when the model answers, and no special token
is added but those that the template writes.

Where the generation prompt already opens `<think>` (Qwen3.5, Qwen3 Thinking), the target does not
open it again: one leading `<think>` and the line break that the prompt already has are left out. An
answer without `<think>` is kept as it is, and is then learned as thinking; such rows are rare, and
changing their text would be worse. `answer_text` puts the opening back.

A row's text is data, yet a look-alike such as `<|im_end|>` in it becomes a control token when
tokenised. `control_tokens_in` tells; who reads rows drops them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from openthoughts_cli.chat.folder import TokenizerFiles, read_folder
from openthoughts_cli.chat.locate import locate
from openthoughts_cli.chat.template import PLAIN_TEMPLATE, ChatTemplate
from openthoughts_cli.digests import digest_file, digest_text, digest_value
from openthoughts_cli.errors import ModelError
from openthoughts_cli.events import Listener, Notice, silent

__all__ = ["RENDERER_FORMAT", "Example", "Measure", "Renderer", "load_renderer"]

RENDERER_FORMAT = 1
"""Counts up when the same row would become other tokens; part of every digest."""

# Tokens that end a text in the families served here, where the vocabulary has them as special.
_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|end_of_text|>")
_THINKING = ("<think>", "</think>")
_OPENED = re.compile(r"<think>\s*\Z")
_LOOKS_LIKE_CONTROL = re.compile(r"<\S+>|\[/?[A-Z_]+\]")
_BATCH_ROWS = 256


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation as tokens; the loss is on every token of `target` and on none of `prompt`."""

    prompt: tuple[int, ...]
    """The model's own template over the question, with its generation prompt."""
    target: tuple[int, ...]
    """The answer verbatim, then the end-of-turn token: at least that one."""

    @property
    def num_tokens(self) -> int:
        """Tokens of prompt and target together: what a row's length limit counts."""
        return len(self.prompt) + len(self.target)


@dataclass(frozen=True, slots=True)
class Measure:
    """Token counts of one example, by the parts of its text.

    `prompt` includes `question`; `head` is the target's tokens that begin within the first `cut`
    characters of the answer, and `target` all of them with the end-of-turn token.
    """

    prompt: int
    question: int
    head: int
    target: int


class Renderer:
    """Renders for one model. Made by `load_renderer`; safe to share between threads."""

    model: str
    """The model as asked for."""
    digest: str
    """32 hexadecimal digits of tokenizer.json, template, special tokens and `RENDERER_FORMAT`."""
    vocab_size: int
    """How many tokens the tokenizer knows, added ones included (a model's matrix may be larger)."""
    stop_tokens: tuple[int, ...]
    """Ids that end an answer: the end of turn first, then end-of-text ids."""
    opens_thinking: bool
    """The generation prompt itself ends with an opened <think>."""
    tokenizer_file: Path
    """The tokenizer.json, for faster counters."""

    def __init__(self, model: str, files: TokenizerFiles, *, source: str = "folder") -> None:
        self.model = model
        self.tokenizer_file = files.folder / "tokenizer.json"
        self._tokenizer = files.tokenizer
        special_tokens = dict(files.special_tokens)
        text = files.template
        if text is None:
            text = PLAIN_TEMPLATE
            if not self._adds_bos(special_tokens.get("bos_token")):
                special_tokens.pop("bos_token", None)
        self._template = ChatTemplate(text, special_tokens, model=model)
        self.vocab_size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        # One int object for each id, shared by all examples: 8 bytes a token instead of 36.
        self._ids: dict[int, int] = {}
        self._end_of_turn = self._find_end_of_turn(special_tokens.get("eos_token"))
        self.stop_tokens = self._find_stop_tokens(special_tokens.get("eos_token"), files.eos_ids)
        self._control = self._control_pattern()
        opened = _OPENED.search(self._template.prompt("?"))
        self._opened = opened.group() if opened else ""
        self.opens_thinking = opened is not None
        self.record: dict[str, Any] = {
            "model": model,
            "format": RENDERER_FORMAT,
            "source": source,
            "tokenizer": digest_file(self.tokenizer_file),
            "template": digest_text(text),
            "plain_format": files.template is None,
            "opens_thinking": self.opens_thinking,
        }
        identity = [
            RENDERER_FORMAT,
            self.record["tokenizer"],
            text,
            special_tokens,
            list(self.stop_tokens),
        ]
        self.digest = digest_value(identity)
        self.record["digest"] = self.digest

    # -- text to tokens

    def prompt_text(self, question: str) -> str:
        """The prompt as text.

        Raises:
            ModelError: the template cannot render this question.
        """
        return self._template.prompt(question)

    def target_text(self, answer: str) -> str:
        """The text that the target tokenises (the end-of-turn token follows it).

        It is `answer`, less the `<think>` that the prompt has opened already.
        """
        if not self.opens_thinking:
            return answer
        body = answer.lstrip()
        if not body.startswith("<think>"):
            return answer
        return body.removeprefix("<think>").removeprefix(self._opened.removeprefix("<think>"))

    def prompt(self, question: str) -> tuple[int, ...]:
        """The prompt as tokens: what a sampler is asked with."""
        return self._encode([self.prompt_text(question)])[0]

    def example(self, question: str, answer: str) -> Example:
        """One conversation for training."""
        return self.examples([(question, answer)])[0]

    def examples(self, rows: Sequence[tuple[str, str]]) -> list[Example]:
        """(question, answer) rows as examples, in order, tokenised in batches on all cores."""
        examples: list[Example] = []
        for start in range(0, len(rows), _BATCH_ROWS):
            batch = rows[start : start + _BATCH_ROWS]
            texts = chain.from_iterable(
                (self.prompt_text(q), self.target_text(a)) for q, a in batch
            )
            tokens = self._encode(list(texts))
            examples.extend(
                Example(prompt=prompt, target=(*target, self._end_of_turn))
                for prompt, target in zip(tokens[::2], tokens[1::2], strict=True)
            )
        return examples

    def measure(self, rows: Sequence[tuple[str, str, int]]) -> list[Measure]:
        """Count (question, answer, cut) rows without keeping tokens; see `Measure`.

        The counts come from the offsets of the one encoding that `examples` makes.
        """
        measures: list[Measure] = []
        for start in range(0, len(rows), _BATCH_ROWS):
            batch = rows[start : start + _BATCH_ROWS]
            prompts = [self.prompt_text(question) for question, _, _ in batch]
            targets = [self.target_text(answer) for _, answer, _ in batch]
            texts = list(chain.from_iterable(zip(prompts, targets, strict=True)))
            found = self._tokenizer.encode_batch(texts, add_special_tokens=False)
            for i, (question, answer, cut) in enumerate(batch):
                asked, said = found[2 * i], found[2 * i + 1]
                cut -= len(answer) - len(targets[i])
                measures.append(
                    Measure(
                        prompt=len(asked.ids),
                        question=self._question_tokens(asked.offsets, prompts[i], question),
                        head=_tokens_before(said, cut, len(targets[i])),
                        target=len(said.ids) + 1,
                    )
                )
        return measures

    def question_span(self, prompt: str, question: str) -> tuple[int, int] | None:
        """Where the question stands in its prompt's text, in characters; None where it cannot be
        told (a template that rewrites it). Templates may strip it."""
        before = self._template.before_question()
        for text in (question, question.strip()):
            if prompt.startswith(before) and prompt.startswith(text, len(before)):
                return len(before), len(before) + len(text)
        return None

    def _question_tokens(
        self, offsets: Sequence[tuple[int, int]], prompt: str, question: str
    ) -> int:
        """How many of the prompt's tokens hold text of the question."""
        span = self.question_span(prompt, question)
        if span is None:
            return 0
        return sum(start < span[1] and end > span[0] for start, end in offsets)

    def _encode(self, texts: list[str]) -> list[tuple[int, ...]]:
        shared = self._ids.setdefault
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [tuple([shared(i, i) for i in encoding.ids]) for encoding in encodings]

    def tokenizer_form(self) -> dict[str, Any]:
        """The tokenizer.json without its model: added tokens, and how text is prepared.

        Keys: added_tokens, normalizer, pre_tokenizer and post_processor; None where it has none.
        """
        form: dict[str, Any] = {
            name: None if (part := getattr(self._tokenizer, name)) is None else _state(part)
            for name in ("normalizer", "pre_tokenizer", "post_processor")
        }
        flags = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
        form["added_tokens"] = [
            {"id": i, **{flag: getattr(token, flag) for flag in flags}}
            for i, token in self._tokenizer.get_added_tokens_decoder().items()
        ]
        return form

    # -- tokens to text

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of an answer's tokens: stop tokens at its end left out, other special ones kept."""
        end = len(tokens)
        while end and tokens[end - 1] in self.stop_tokens:
            end -= 1
        return self._decode(tokens[:end])

    def answer_text(self, tokens: Sequence[int]) -> str:
        """`decode`, with the `<think>` that the prompt opened put in front: the whole trace."""
        return self._opened + self.decode(tokens)

    def pieces(self, example: Example) -> list[tuple[str, bool]]:
        """(text, carries loss) for each run of tokens of one kind, special tokens spelled out.

        A run is decoded as one, so that characters split over several tokens stay whole.
        """
        runs = ((example.prompt, False), (example.target, True))
        return [(self._decode(tokens), loss) for tokens, loss in runs if tokens]

    def _decode(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False)

    # -- control tokens

    def control_tokens_in(self, text: str) -> tuple[str, ...]:
        """Control tokens that `text` spells out, each once, in the order of their appearance.

        Tokenised, they would become control tokens. `<think>` and `</think>` are not among them.
        """
        if self._control is None:
            return ()
        return tuple(dict.fromkeys(self._control.findall(text)))

    def _control_pattern(self) -> re.Pattern[str] | None:
        added = self._tokenizer.get_added_tokens_decoder().values()
        control = [
            token.content
            for token in added
            if token.content not in _THINKING
            and (token.special or _LOOKS_LIKE_CONTROL.fullmatch(token.content))
        ]
        if not control:
            return None
        longest_first = sorted(control, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)))

    # -- which tokens end an answer

    def _find_end_of_turn(self, eos_token: str | None) -> int:
        """The first added token that the template writes after an assistant's text, else eos."""
        added = self._tokenizer.get_added_tokens_decoder()
        after = self._template.after_answer()
        if after:
            ids = self._tokenizer.encode(after, add_special_tokens=False).ids
            for token in ids:
                if token in added:
                    return token
        end = self._tokenizer.token_to_id(eos_token) if eos_token else None
        if end is None:
            raise ModelError(
                f"{self.model} names no token that ends an answer",
                hint="set eos_token in its tokenizer_config.json",
            )
        return end

    def _find_stop_tokens(self, eos_token: str | None, eos_ids: tuple[int, ...]) -> tuple[int, ...]:
        added = self._tokenizer.get_added_tokens_decoder()
        by_text = {token.content: i for i, token in added.items() if token.special}
        stops = [self._end_of_turn]
        if eos_token and (end := self._tokenizer.token_to_id(eos_token)) is not None:
            stops.append(end)
        stops.extend(i for i in eos_ids if i >= 0 and self._tokenizer.id_to_token(i) is not None)
        stops.extend(by_text[text] for text in _ENDS if text in by_text)
        return tuple(dict.fromkeys(stops))

    def _adds_bos(self, bos_token: str | None) -> bool:
        """Whether the tokenizer itself puts a BOS before a text; then the plain format does too."""
        if not bos_token:
            return False
        return self._tokenizer.token_to_id(bos_token) in self._tokenizer.encode("").ids


def _state(part: Any) -> Any:
    # What `tokenizers` pickles of a part is the part's JSON.
    return json.loads(part.__getstate__())


def _tokens_before(encoding: Any, cut: int, length: int) -> int:
    """How many tokens begin before the character `cut` of a text of `length` characters."""
    if cut >= length:
        return len(encoding.ids)
    # A normaliser may leave a character out; the nearest one before it that has a token decides.
    for at in range(cut - 1, -1, -1):
        token = encoding.char_to_token(at)
        if token is not None:
            break
    else:
        return 0
    # A character may take several tokens; the first one was found.
    token += 1
    while (span := encoding.token_to_chars(token)) is not None and span[0] < cut:
        token += 1
    return int(token)


def load_renderer(model: str, *, listener: Listener = silent) -> Renderer:
    """The renderer of a model: a hub id, a local folder, or the alias "smollm2-135m".

    Raises:
        ModelError: no such model, no tokenizer.json, a broken file or template.
        NetworkError: it is not cached and neither hub nor registry can be reached.
        MissingExtraError, IntegrityError, StorageError: see `locate`.
    """
    located = locate(model, listener=listener)
    renderer = Renderer(model, read_folder(located.folder, model=model), source=located.source)
    if renderer.record["plain_format"]:
        listener(
            Notice(
                f"{model} has no chat template: questions are put as 'Question: ... Answer:' "
                "(see docs/decisions)"
            )
        )
    return renderer
