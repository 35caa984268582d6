"""Word problems for the demo: the drawing of one story of `stories.json`, with its solution.

A story has a text with blanks, pools of words and numbers to fill them, and steps. A step is the
name of its result, an operation on two earlier numbers, and a sentence. Numbers are drawn from a
range: `[start, stop]` or `[start, stop, step]`, as Python has them. `vocabulary` words may occur in
every story.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from operator import add, floordiv, mul, sub
from random import Random
from typing import NamedTuple

from bedrock_sluice import demo

_OPERATIONS = {"+": add, "-": sub, "*": mul, "/": floordiv}
_MIN_RESULT = 2  # so that every number can stand before a plural


class Step(NamedTuple):
    """One line of a solution: `message: formula = result.`"""

    message: str
    formula: str
    result: int

    @property
    def text(self) -> str:
        """The line as it is written."""
        return f"{self.message}: {self.formula} = {self.result}."


class Problem(NamedTuple):
    """A question and its solution; the answer is the result of the last step."""

    question: str
    steps: tuple[Step, ...]

    @property
    def answer(self) -> int:
        """The number that the question asks for."""
        return self.steps[-1].result


class Story(NamedTuple):
    """A problem with blanks; see the module."""

    text: str
    numbers: Mapping[str, range]
    steps: list[tuple[str, str, str]]
    words: Mapping[str, list[str]]


class Stories(NamedTuple):
    """The content of `stories.json`."""

    people: list[str]
    vocabulary: Mapping[str, list[str]]
    stories: list[Story]


@cache
def _load_stories() -> Stories:
    content = json.loads((files(demo) / "stories.json").read_text(encoding="utf-8"))
    stories = [
        Story(
            story["text"],
            {name: range(*bounds) for name, bounds in story["numbers"].items()},
            story["steps"],
            story["words"],
        )
        for story in content["stories"]
    ]
    return Stories(content["people"], content["vocabulary"], stories)


def draw_problem(rng: Random) -> Problem:
    """Draw a story and fill it in, so that every division in it comes out even."""
    # The order of the draws decides every byte of the demo, and so does that of the data file.
    data = _load_stories()
    story = rng.choice(data.stories)
    who, friend = rng.sample(data.people, 2)
    pools = (*data.vocabulary.items(), *story.words.items())
    words = {"who": who, "friend": friend} | {name: rng.choice(pool) for name, pool in pools}
    while True:
        numbers = {name: rng.choice(choices) for name, choices in story.numbers.items()}
        problem = _solve(story, words, numbers)
        if problem is not None:
            return problem


def _solve(story: Story, words: Mapping[str, str], numbers: dict[str, int]) -> Problem | None:
    """Return the problem, or None where a result is too small or not a whole number."""
    steps = []
    for name, formula, message in story.steps:
        left, sign, right = formula.split()
        a, b = (numbers[term] if term in numbers else int(term) for term in (left, right))
        result = _OPERATIONS[sign](a, b)
        if result < _MIN_RESULT or (sign == "/" and a % b):
            return None
        numbers[name] = result
        steps.append(Step(message.format(**words, **numbers), f"{a} {sign} {b}", result))
    return Problem(story.text.format(**words, **numbers), tuple(steps))
