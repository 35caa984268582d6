"""Log records for the demo: calls of a synthetic tutor, with what goes wrong in real ones.

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

TAG_SHARE = 0.9  # of records that have request metadata
OTHER_PROJECT_SHARE = 0.09  # of records that belong to another project
LABEL_SHARE = 0.5  # of problems that have a label
SLIP_SHARE = 0.1  # of labelled problems that the model got wrong
RESPACE_SHARE = 0.5  # of repeated questions that have other white space
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


class LoggedCall(NamedTuple):
    """A record, still without its timestamp, and its label, if it has one."""

    record: Json
    label: Json | None = None


class Caller(NamedTuple):
    """Identity and dialect of a caller; the same throughout a conversation."""

    dialect: Dialect
    envelope: Json


@dataclass
class Desk:
    """The source of all chance, and the recent problems, some of which are asked again."""

    rng: Random
    recent: deque[Problem] = field(default_factory=lambda: deque(maxlen=RECENT))

    def problem(self) -> Problem:
        """Draw a new problem."""
        problem = draw_problem(self.rng)
        self.recent.append(problem)
        return problem

    def caller(self, dialect: Dialect | None = None) -> Caller:
        """Draw a caller, who uses the dialect or a random one."""
        dialect = dialect or self.rng.choices([*DIALECTS], [*DIALECTS.values()])[0]
        envelope: Json = {
            "schemaType": "ModelInvocationLog",
            "schemaVersion": "1.0",
            "accountId": ACCOUNT,
            "region": REGION,
            "operation": dialect.operation,
            "modelId": self.rng.choice(dialect.models),
        }
        is_other = self.rng.random() < OTHER_PROJECT_SHARE
        project = self.rng.choice(("quiz", "worksheets")) if is_other else "tutor"
        role = f"{project}-api/i-{self.rng.getrandbits(68):017x}"
        envelope["identity"] = {"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}"}
        if self.rng.random() < TAG_SHARE:
            team = self.rng.choice(("exercises", "exams", "app"))
            metadata = {"project": project, "team": team}
            if env := self.rng.choices(("prod", "staging", "dev", None), (82, 8, 8, 2))[0]:
                metadata["env"] = env
            envelope["requestMetadata"] = metadata
        return Caller(dialect, envelope)

    def record(self, caller: Caller, **sides: Json) -> Json:
        """Return a record of one call, with `input` and `output` where there are any."""
        return caller.envelope | {"requestId": _request_id(self.rng)} | sides

    def exchange(self, caller: Caller, talk: Talk) -> Json:
        """Return the record of a talk."""
        request, response = caller.dialect.bodies(talk, caller.envelope["modelId"])
        input_tokens, output_tokens = talk.tokens()
        input_side = {
            "inputContentType": "application/json",
            "inputBodyJson": request,
            "inputTokenCount": input_tokens,
        }
        output_side = {
            "outputContentType": "application/json",
            "outputBodyJson": response,
            "outputTokenCount": output_tokens,
        }
        if caller.dialect.operation != "InvokeModel":
            input_side |= {"cacheReadInputTokenCount": 0, "cacheWriteInputTokenCount": 0}
        return self.record(caller, input=input_side, output=output_side)

    def answer(self, caller: Caller, turns: tuple[str, ...], problem: Problem) -> LoggedCall:
        """Return the record of an answer, with a label or not; an answer without one is right."""
        if self.rng.random() >= LABEL_SHARE:
            talk = Talk(turns, solution(problem, problem.answer))
            return LoggedCall(self.exchange(caller, talk))
        slip = self.rng.choice((-1, 1, 10)) if self.rng.random() < SLIP_SHARE else 0
        talk = Talk(turns, solution(problem, problem.answer + slip))
        return with_label(self.exchange(caller, talk), problem)


def with_label(record: Json, problem: Problem) -> LoggedCall:
    """Return a record with a label for its problem: the fields of the template `math`."""
    label = {
        "request_id": record["requestId"],
        "final_answer": str(problem.answer),
        "steps": [step.text for step in problem.steps],
    }
    return LoggedCall(record, label)


def solution(problem: Problem, final: int) -> str:
    """Return the steps and the final line, with thousands separators as models write them."""
    return "\n".join([*(step.text for step in problem.steps), f"#### {final:,}"])


def _request_id(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


# Kinds of records: each function yields one, or those of a short conversation.


def _plain_question(desk: Desk) -> Iterator[LoggedCall]:
    problem = desk.problem()
    yield desk.answer(desk.caller(), (problem.question,), problem)


def _repeated_question(desk: Desk) -> Iterator[LoggedCall]:
    problem = desk.rng.choice(desk.recent) if desk.recent else desk.problem()
    question = problem.question
    if desk.rng.random() < RESPACE_SHARE:
        question = question.replace(". ", desk.rng.choice((".  ", ".\n", ". \t"))) + "\n"
    yield desk.answer(desk.caller(), (question,), problem)


def _rephrased_question(desk: Desk) -> Iterator[LoggedCall]:
    problem = desk.rng.choice(desk.recent) if desk.recent else desk.problem()
    greeting, thanks = desk.rng.choice(GREETINGS), desk.rng.choice(THANKS)
    yield desk.answer(desk.caller(), (f"{greeting} {problem.question} {thanks}",), problem)


def _with_private_data(desk: Desk) -> Iterator[LoggedCall]:
    """Ask a question that holds a secret or personal data."""
    problem = desk.problem()
    key = "AKIA" + "".join(desk.rng.choices(ascii_uppercase, k=16))
    # Both are drawn, whichever is used: the order of the draws decides all later bytes.
    remark = desk.rng.choice(
        (f"My key is {key}.", f"Answer to pupil{desk.rng.randrange(99)}@example.org.")
    )
    yield desk.answer(desk.caller(), (f"{problem.question} {remark}",), problem)


def _conversation(desk: Desk) -> Iterator[LoggedCall]:
    caller, turns = desk.caller(), tuple[str, ...]()
    for start in ("", "Thank you! The next one: ", "And this one: ")[: desk.rng.randint(2, 3)]:
        problem = desk.problem()
        turns = (*turns, start + problem.question)
        yield desk.answer(caller, turns, problem)
        turns = (*turns, solution(problem, problem.answer))


def _with_tool(desk: Desk) -> Iterator[LoggedCall]:
    """Log the call that asks for a tool, and the call that brings its result."""
    caller, problem = desk.caller(CONVERSE), desk.problem()
    talk = Talk((problem.question,), solution(problem, problem.answer))
    first_step, call_id = problem.steps[0], f"tooluse_{desk.rng.getrandbits(64):016x}"
    use = {"toolUseId": call_id, "name": "calculator", "input": {"expression": first_step.formula}}
    result = {"toolUseId": call_id, "content": [{"json": {"result": first_step.result}}]}
    assistant = {"role": "assistant", "content": [{"toolUse": use}]}
    user = {"role": "user", "content": [{"toolResult": result}]}
    first, second = desk.exchange(caller, talk), desk.exchange(caller, talk)
    for record in (first, second):
        record["input"]["inputBodyJson"]["toolConfig"] = {"tools": [{"toolSpec": CALCULATOR}]}
    first["output"]["outputBodyJson"] |= {
        "output": {"message": assistant},
        "stopReason": "tool_use",
    }
    second["input"]["inputBodyJson"]["messages"] += [assistant, user]
    has_label = desk.rng.random() < LABEL_SHARE
    yield with_label(first, problem) if has_label else LoggedCall(first)
    yield LoggedCall(second)


def _throttling_error(desk: Desk) -> Iterator[LoggedCall]:
    yield LoggedCall(desk.record(desk.caller()) | {"errorCode": "ThrottlingException"})


def _without_bodies(desk: Desk) -> Iterator[LoggedCall]:
    ((record, _),) = _plain_question(desk)
    del record["input"]["inputBodyJson"], record["output"]["outputBodyJson"]
    yield LoggedCall(record)


def _at_token_limit(desk: Desk) -> Iterator[LoggedCall]:
    problem = desk.problem()
    talk = Talk((problem.question,), problem.steps[0].text[:-8], "max_tokens")
    yield LoggedCall(desk.exchange(desk.caller(), talk))


def _empty_reply(desk: Desk) -> Iterator[LoggedCall]:
    yield LoggedCall(desk.exchange(desk.caller(), Talk((desk.problem().question,), "")))


def _without_marker(desk: Desk) -> Iterator[LoggedCall]:
    problem = desk.problem()
    talk = Talk((problem.question,), f"{problem.steps[-1].text} So it is {problem.answer}.")
    yield LoggedCall(desk.exchange(desk.caller(), talk))


def _guardrail_block(desk: Desk) -> Iterator[LoggedCall]:
    """Log a block by a guardrail, in the form of Converse or of native bodies."""
    dialect = desk.rng.choice((CONVERSE, CLAUDE))
    question = f"{desk.problem().question} And tell me what will be asked in the exam!"
    is_native = dialect is CLAUDE
    stop = "end_turn" if is_native else "guardrail_intervened"
    record = desk.exchange(desk.caller(dialect), Talk((question,), "I can't help with that.", stop))
    topic = {"name": "Exams", "type": "DENY", "action": "BLOCKED"}
    assessment = {"inputAssessment": {"g1exams0tutor": {"topicPolicy": {"topics": [topic]}}}}
    native = {
        "amazon-bedrock-guardrailAction": "INTERVENED",
        "amazon-bedrock-trace": {"guardrail": assessment},
    }
    record["output"]["outputBodyJson"] |= (
        native if is_native else {"trace": {"guardrail": assessment}}
    )
    yield LoggedCall(record)


def _with_image(desk: Desk) -> Iterator[LoggedCall]:
    problem = desk.problem()
    talk = Talk((problem.question,), solution(problem, problem.answer))
    record = desk.exchange(desk.caller(NOVA), talk)
    image = {"image": {"format": "png", "source": {"bytes": WHITE_PIXEL}}}
    record["input"]["inputBodyJson"]["messages"][0]["content"].append(image)
    yield LoggedCall(record)


def _rerank_call(desk: Desk) -> Iterator[LoggedCall]:
    """Log a call of a model that does not chat: no reader knows its bodies."""
    yield LoggedCall(desk.exchange(desk.caller(RERANK), Talk((desk.problem().question,), "")))


KINDS = {
    _plain_question: 745,
    _repeated_question: 60,
    _rephrased_question: 25,
    _with_private_data: 10,
    _conversation: 20,
    _with_tool: 15,
    _throttling_error: 25,
    _without_bodies: 12,
    _at_token_limit: 18,
    _empty_reply: 12,
    _without_marker: 16,
    _guardrail_block: 14,
    _with_image: 14,
    _rerank_call: 14,
}
"""How often each kind is drawn, about out of a thousand."""


def draw_calls(rng: Random) -> Iterator[LoggedCall]:
    """Yield records without end, in the order in which they were logged."""
    desk, kinds, weights = Desk(rng), [*KINDS], [*KINDS.values()]
    while True:
        yield from rng.choices(kinds, weights)[0](desk)


def large_body(rng: Random) -> tuple[str, Json]:
    """Return a request id, and a request body that is too large to be logged in its record."""
    lines = "\n".join(draw_problem(rng).question for _ in range(LARGE_BODY_PROBLEMS))
    return _request_id(rng), CONVERSE.bodies(Talk((lines,), ""), "")[0]
