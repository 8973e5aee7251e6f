"""The sample's math questions: number stories, each solved four times in other words.

They are what `ot quickstart` trains on: most rows are about a hundred SmolLM2 tokens long, every
step is one explicit equation, and the answer repeats the last result in a box. No telling starts
with the equation: a small model picks the operation far better after it has said what happens.
"""

from __future__ import annotations

from openthoughts_cli.data.sample.long_math import long_math_questions
from openthoughts_cli.data.sample.rows import LABEL, Question, thought
from openthoughts_cli.problems.dice import Dice
from openthoughts_cli.problems.stories import Cast, Story, tell
from openthoughts_cli.problems.story_kinds import ONE_STEP, TWO_STEPS

__all__ = ["SAMPLE_CAST", "math_questions", "math_stories"]

_STORIES_PER_KIND = 36
_VERBS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}

SAMPLE_CAST = Cast(
    names=(
        "Ada", "Ben", "Carla", "David", "Emma", "Frank", "Grace", "Henry", "Ida", "Jack", "Kate",
        "Liam", "Mia", "Noah", "Olivia", "Peter", "Ruth", "Sam", "Tom", "Uma", "Vera", "Will",
    ),
    items=(
        ("apple", "apples"), ("ball", "balls"), ("book", "books"), ("button", "buttons"),
        ("card", "cards"), ("cookie", "cookies"), ("cup", "cups"), ("egg", "eggs"),
        ("flower", "flowers"), ("marble", "marbles"), ("orange", "oranges"), ("pen", "pens"),
        ("pencil", "pencils"), ("shell", "shells"), ("stamp", "stamps"), ("toy", "toys"),
    ),
    boxes=(("bag", "bags"), ("basket", "baskets"), ("box", "boxes"), ("jar", "jars")),
    vehicles=("bicycle", "boat", "bus", "horse", "train"),
)  # fmt: skip


def math_stories() -> list[Story]:
    """The stories behind the short math questions: 36 of each kind, in a drawn order."""
    stories: list[Story] = []
    for kind in (*ONE_STEP, *TWO_STEPS):
        teller = tell(kind, SAMPLE_CAST, "sample", LABEL)
        stories.extend(next(teller) for _ in range(_STORIES_PER_KIND))
    return Dice(LABEL, "story order").shuffled(stories)


def math_questions() -> list[Question]:
    """All math questions; the long ones stand among the short ones."""
    short = [
        Question(
            kind=story.kind,
            source="openmath",
            text=story.question,
            answers=(_forward(story), _goal_first(story), _operation_named(story), _checked(story)),
        )
        for story in math_stories()
    ]
    return Dice(LABEL, "math order").shuffled([*short, *long_math_questions()])


def _forward(story: Story) -> str:
    lines = [f"{_capital(step.reasons[0])}. So {step.equation}." for step in story.steps]
    return thought(
        " ".join(lines),
        f"{_capital(story.outcome)}. The answer is {_boxed(story)}.",
    )


def _goal_first(story: Story) -> str:
    steps = " Then ".join(f"{step.reasons[1]}: {step.equation}." for step in story.steps)
    return thought(
        f"We need {story.goal}. {_capital(steps)}",
        f"{_capital(story.goal)} is {_boxed(story)}.",
    )


def _operation_named(story: Story) -> str:
    lines = [
        f"{_capital(step.reasons[0])}. We {_VERBS[step.op]}: {step.equation}."
        for step in story.steps
    ]
    return thought(" ".join(lines), f"So {story.outcome}. The answer is {_boxed(story)}.")


def _checked(story: Story) -> str:
    last = story.steps[-1]
    steps = " ".join(f"{_capital(step.reasons[1])}, so {step.equation}." for step in story.steps)
    return thought(
        f"{steps} Check: {last.check}, so {last.result} is right.",
        f"The answer is {_boxed(story)}.",
    )


def _boxed(story: Story) -> str:
    return f"\\boxed{{{story.answer}}}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
