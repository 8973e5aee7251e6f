"""The sample's code questions: small Python tasks, each solved in two ways and told twice.

What an answer says about its code is computed from the code: example values by running it, byte
counts by counting.
"""

from __future__ import annotations

from typing import Any

from openthoughts_cli.data.sample.code_tasks import TASKS, Solution, Task
from openthoughts_cli.data.sample.golf_tasks import GOLF_TASKS
from openthoughts_cli.data.sample.long_code import long_code_questions
from openthoughts_cli.data.sample.rows import LABEL, Question, thought
from openthoughts_cli.problems.dice import Dice

__all__ = ["code_questions", "filled", "result_of"]


def code_questions() -> list[Question]:
    """All code questions: `opencode` first, then `codegolf`, each in a drawn order."""
    plain = [_question(task, values, golf=False) for task in TASKS for values in task.parameters]
    golf = [_question(task, values, golf=True) for task in GOLF_TASKS for values in task.parameters]
    dice = Dice(LABEL, "code order")
    return dice.shuffled([*plain, *long_code_questions()]) + dice.shuffled(golf)


def filled(template: str, values: dict[str, int]) -> str:
    """`template` with `{k}` and `{j}` replaced; other braces are the code's own."""
    for name, value in values.items():
        template = template.replace("{" + name + "}", str(value))
    return template


def result_of(code: str, argument: Any) -> str:
    """The `repr` of what the code's `solve` returns."""
    scope: dict[str, Any] = {}
    exec(code, scope)
    return repr(scope["solve"](argument))


def _question(task: Task, values: dict[str, int], *, golf: bool) -> Question:
    statement = filled(task.statement, values)
    first, second = (
        Solution(filled(solution.idea, values), filled(solution.code, values))
        for solution in (task.first, task.second)
    )
    examples = [f"solve({x!r}) == {result_of(first.code, x)}" for x in task.inputs[:2]]
    shown = "\n".join(f"    {example}" for example in examples)
    if golf:
        text = f"Code golf: write the shortest Python function `solve` you can. It must {statement}"
    else:
        text = f"Write a Python function `solve`. {statement}"
    tell = _golf_answers if golf else _answers
    told = (tell(first, task, examples), tell(second, task, examples))
    answers = (told[0][0], told[1][0], told[0][1], told[1][1])
    return Question(
        kind=task.name,
        source="codegolf" if golf else "opencode",
        text=f"{text}\n\nExamples:\n\n{shown}",
        answers=answers,
        difficulty=task.difficulty,
    )


def _answers(solution: Solution, task: Task, examples: list[str]) -> tuple[str, str]:
    edge = f"solve({task.inputs[2]!r})"
    value = result_of(solution.code, task.inputs[2])
    block = f"```python\n{solution.code}\n```"
    plain = thought(
        f"{solution.idea} The first example, {examples[0]}, comes out of it. "
        f"What about the smallest input? {edge} is {value}, as it should be.",
        f"{solution.idea}\n\n{block}",
    )
    from_examples = thought(
        f"The examples say {examples[0]} and {examples[1]}. How do I get there? {solution.idea} "
        f"Written out, both examples hold, and {edge} gives {value}.",
        f"{block}\n\nFor instance, {examples[1]}.",
    )
    return plain, from_examples


def _golf_answers(solution: Solution, task: Task, examples: list[str]) -> tuple[str, str]:
    size = len(solution.code.encode())
    edge = f"solve({task.inputs[2]!r})"
    value = result_of(solution.code, task.inputs[2])
    block = f"```python\n{solution.code}\n```"
    counted = thought(
        f"{solution.idea} A lambda saves the return. Test: {examples[0]}. "
        f"The edge case {edge} gives {value}. That is {size} bytes.",
        f"{size} bytes:\n\n{block}",
    )
    shorter = thought(
        f"Which construct is short here? {solution.idea} Trying it on the second example gives "
        f"{examples[1]}, which is right.",
        f"**Python, {size} bytes**\n\n{block}\n\n{solution.idea}",
    )
    return counted, shorter
