"""Log records for the demo: what a made-up tutor was asked, and how the calls went.

Format: AWS user guide, "Monitor model invocation using CloudWatch Logs and Amazon S3".
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from string import ascii_uppercase
from typing import NamedTuple
from uuid import UUID

from bedrock_sluice.demo.dialects import (
    ACCOUNT,
    CLAUDE,
    CONVERSE,
    DIALECTS,
    NOVA,
    REGION,
    RERANK,
    Dialect,
    Json,
    Talk,
)
from bedrock_sluice.demo.stories import Problem, draw_problem

LARGE_BODY_PROBLEMS = 600

TAGGED = 0.9  # shares: of records that have request metadata,
OTHER_PROJECT = 0.09  # of these, those of another project,
LABELLED = 0.5  # of answered problems, those with a label,
SLIPS = 0.1  # and of these, those that the model got wrong
RESPACED = 0.5  # of repeated questions, those with other white space
GREETINGS, THANKS = ("Hello!", "Hi tutor,", "Please help:"), ("Thanks!", "Thank you.", "Please!")
RECENT = 200  # problems that may be asked again

WHITE_PIXEL = (  # a whole PNG
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)
CALCULATOR = {
    "name": "calculator",
    "description": "Works out a sum, a difference, a product or a quotient.",
    "inputSchema": {
        "json": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
        }
    },
}


class Logged(NamedTuple):
    """A record, still without its timestamp, and its label, if it has one."""

    record: Json
    label: Json | None = None


class Caller(NamedTuple):
    """Who calls, and how; the same throughout a conversation."""

    dialect: Dialect
    envelope: Json


@dataclass
class Desk:
    """Where problems come in: the source of all chance, and the problems asked of late."""

    rng: Random
    recent: deque[Problem] = field(default_factory=lambda: deque(maxlen=RECENT))

    def problem(self) -> Problem:
        """A new problem."""
        problem = draw_problem(self.rng)
        self.recent.append(problem)
        return problem

    def caller(self, dialect: Dialect | None = None) -> Caller:
        """Somebody who calls, by a dialect given or drawn."""
        dialect = dialect or self.rng.choices([*DIALECTS], [*DIALECTS.values()])[0]
        envelope = {
            "schemaType": "ModelInvocationLog",
            "schemaVersion": "1.0",
            "accountId": ACCOUNT,
            "region": REGION,
            "operation": dialect.operation,
            "modelId": self.rng.choice(dialect.models),
        }
        return Caller(dialect, envelope | _identified(self.rng))

    def record(self, caller: Caller, **sides: Json) -> Json:
        """A record of one call, with `input` and `output` where there are any."""
        return caller.envelope | {"requestId": _request_id(self.rng)} | sides

    def told(self, caller: Caller, talk: Talk) -> Json:
        """The record of a talk."""
        request, response = caller.dialect.bodies(talk, caller.envelope["modelId"])
        given, made = talk.tokens()
        mime = "application/json"
        asked = {"inputContentType": mime, "inputBodyJson": request, "inputTokenCount": given}
        told = {"outputContentType": mime, "outputBodyJson": response, "outputTokenCount": made}
        if caller.dialect.operation != "InvokeModel":
            asked |= {"cacheReadInputTokenCount": 0, "cacheWriteInputTokenCount": 0}
        return self.record(caller, input=asked, output=told)

    def answered(self, caller: Caller, turns: tuple[str, ...], problem: Problem) -> Logged:
        """The record of an answer, with or without a label; only labelled ones may be wrong."""
        if self.rng.random() >= LABELLED:
            return Logged(self.told(caller, Talk(turns, solution(problem, problem.answer))))
        slip = self.rng.choice((-1, 1, 10)) if self.rng.random() < SLIPS else 0
        talk = Talk(turns, solution(problem, problem.answer + slip))
        return labelled(self.told(caller, talk), problem)


def labelled(record: Json, problem: Problem) -> Logged:
    """A record with a label for its problem: the fields of the template `math`."""
    label = {
        "request_id": record["requestId"],
        "final_answer": str(problem.answer),
        "steps": [step.text for step in problem.steps],
    }
    return Logged(record, label)


def solution(problem: Problem, final: int) -> str:
    """The steps, and the final line, with commas as models like to write them."""
    return "\n".join([*(step.text for step in problem.steps), f"#### {final:,}"])


def _request_id(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _identified(rng: Random) -> Json:
    """The caller's identity and, mostly, request metadata."""
    is_other = rng.random() < OTHER_PROJECT
    project = rng.choice(("quiz", "worksheets")) if is_other else "tutor"
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{project}-api/i-{rng.getrandbits(68):017x}"
    if rng.random() >= TAGGED:
        return {"identity": {"arn": arn}}
    metadata = {"project": project, "team": rng.choice(("exercises", "exams", "app"))}
    env = rng.choices(("prod", "staging", "dev", None), (82, 8, 8, 2))[0]
    if env:
        metadata["env"] = env
    return {"identity": {"arn": arn}, "requestMetadata": metadata}


# Kinds of records: each gives one, or those of a short conversation.


def _plain(desk: Desk) -> Iterator[Logged]:
    problem = desk.problem()
    yield desk.answered(desk.caller(), (problem.question,), problem)


def _repeated(desk: Desk) -> Iterator[Logged]:
    problem = desk.rng.choice(desk.recent) if desk.recent else desk.problem()
    question = problem.question
    if desk.rng.random() < RESPACED:
        question = question.replace(". ", desk.rng.choice((".  ", ".\n", ". \t"))) + "\n"
    yield desk.answered(desk.caller(), (question,), problem)


def _reworded(desk: Desk) -> Iterator[Logged]:
    problem = desk.rng.choice(desk.recent) if desk.recent else desk.problem()
    greeting, thanks = desk.rng.choice(GREETINGS), desk.rng.choice(THANKS)
    yield desk.answered(desk.caller(), (f"{greeting} {problem.question} {thanks}",), problem)


def _signed(desk: Desk) -> Iterator[Logged]:
    """Somebody tells more than they should."""
    problem = desk.problem()
    key = "AKIA" + "".join(desk.rng.choices(ascii_uppercase, k=16))
    told = desk.rng.choice(
        (f"My key is {key}.", f"Answer to pupil{desk.rng.randrange(99)}@example.org.")
    )
    yield desk.answered(desk.caller(), (f"{problem.question} {told}",), problem)


def _conversation(desk: Desk) -> Iterator[Logged]:
    caller, turns = desk.caller(), tuple[str, ...]()
    for start in ("", "Thank you! The next one: ", "And this one: ")[: desk.rng.randint(2, 3)]:
        problem = desk.problem()
        turns = (*turns, start + problem.question)
        yield desk.answered(caller, turns, problem)
        turns = (*turns, solution(problem, problem.answer))


def _with_tool(desk: Desk) -> Iterator[Logged]:
    """A call that asks for a tool, and the call that brings its result."""
    caller, problem = desk.caller(CONVERSE), desk.problem()
    talk = Talk((problem.question,), solution(problem, problem.answer))
    first, call_id = problem.steps[0], f"tooluse_{desk.rng.getrandbits(64):016x}"
    use = {"toolUseId": call_id, "name": "calculator", "input": {"expression": first.formula}}
    asked, told = desk.told(caller, talk), desk.told(caller, talk)
    for record in (asked, told):
        record["input"]["inputBodyJson"]["toolConfig"] = {"tools": [{"toolSpec": CALCULATOR}]}
    spoken = {"role": "assistant", "content": [{"toolUse": use}]}
    asked["output"]["outputBodyJson"] |= {"output": {"message": spoken}, "stopReason": "tool_use"}
    result = {"toolUseId": call_id, "content": [{"json": {"result": first.result}}]}
    brought = {"role": "user", "content": [{"toolResult": result}]}
    told["input"]["inputBodyJson"]["messages"] += [spoken, brought]
    is_labelled = desk.rng.random() < LABELLED
    yield labelled(asked, problem) if is_labelled else Logged(asked)
    yield Logged(told)


def _throttled(desk: Desk) -> Iterator[Logged]:
    yield Logged(desk.record(desk.caller()) | {"errorCode": "ThrottlingException"})


def _without_bodies(desk: Desk) -> Iterator[Logged]:
    ((record, _),) = _plain(desk)
    del record["input"]["inputBodyJson"], record["output"]["outputBodyJson"]
    yield Logged(record)


def _cut_off(desk: Desk) -> Iterator[Logged]:
    problem = desk.problem()
    talk = Talk((problem.question,), problem.steps[0].text[:-8], "max_tokens")
    yield Logged(desk.told(desk.caller(), talk))


def _empty(desk: Desk) -> Iterator[Logged]:
    yield Logged(desk.told(desk.caller(), Talk((desk.problem().question,), "")))


def _without_mark(desk: Desk) -> Iterator[Logged]:
    problem = desk.problem()
    talk = Talk((problem.question,), f"{problem.steps[-1].text} So it is {problem.answer}.")
    yield Logged(desk.told(desk.caller(), talk))


def _blocked(desk: Desk) -> Iterator[Logged]:
    """A guardrail stepped in, as Converse says it, and as native bodies do."""
    dialect = desk.rng.choice((CONVERSE, CLAUDE))
    question = f"{desk.problem().question} And tell me what will be asked in the exam!"
    is_native = dialect is CLAUDE
    stop = "end_turn" if is_native else "guardrail_intervened"
    record = desk.told(desk.caller(dialect), Talk((question,), "I can't help with that.", stop))
    topic = {"name": "Exams", "type": "DENY", "action": "BLOCKED"}
    seen = {"inputAssessment": {"g1exams0tutor": {"topicPolicy": {"topics": [topic]}}}}
    native = {
        "amazon-bedrock-guardrailAction": "INTERVENED",
        "amazon-bedrock-trace": {"guardrail": seen},
    }
    record["output"]["outputBodyJson"] |= native if is_native else {"trace": {"guardrail": seen}}
    yield Logged(record)


def _with_image(desk: Desk) -> Iterator[Logged]:
    problem = desk.problem()
    talk = Talk((problem.question,), solution(problem, problem.answer))
    record = desk.told(desk.caller(NOVA), talk)
    image = {"image": {"format": "png", "source": {"bytes": WHITE_PIXEL}}}
    record["input"]["inputBodyJson"]["messages"][0]["content"].append(image)
    yield Logged(record)


def _reranked(desk: Desk) -> Iterator[Logged]:
    """A call of a model that does not chat: no reader knows its bodies."""
    yield Logged(desk.told(desk.caller(RERANK), Talk((desk.problem().question,), "")))


KINDS = {
    _plain: 745,
    _repeated: 60,
    _reworded: 25,
    _signed: 10,
    _conversation: 20,
    _with_tool: 15,
    _throttled: 25,
    _without_bodies: 12,
    _cut_off: 18,
    _empty: 12,
    _without_mark: 16,
    _blocked: 14,
    _with_image: 14,
    _reranked: 14,
}
"""How often each kind is drawn, about out of a thousand."""


def draw_logged(rng: Random) -> Iterator[Logged]:
    """Records without end, in the order in which they were logged."""
    desk, kinds, weights = Desk(rng), [*KINDS], [*KINDS.values()]
    while True:
        yield from rng.choices(kinds, weights)[0](desk)


def large_body(rng: Random) -> tuple[str, Json]:
    """A request id, and a request body that is too large to be logged in its record."""
    lines = "\n".join(draw_problem(rng).question for _ in range(LARGE_BODY_PROBLEMS))
    return _request_id(rng), CONVERSE.bodies(Talk((lines,), ""), "")[0]
