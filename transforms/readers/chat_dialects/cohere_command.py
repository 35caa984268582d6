"""Cohere Command R and R+ (a message and its history), whole or streamed.

Shape: AWS user guide, "Cohere Command R and Command R+ models"; Cohere API reference, "Chat (v1)",
for roles and events. Calls have no ids there: they are numbered through the conversation, and each
result belongs to the next call.
"""

from dataclasses import dataclass, field

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import (
    Exchange,
    JsonObject,
    Message,
    Turn,
    Unreadable,
    compact,
    function_tool,
    stop_word,
    with_system,
)
from bedrock_sluice.transforms.readers.completions import answer_keys, answers
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk

DIALECT = "cohere_command"

_ROLES = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}
_JSON_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}


class _Call(Struct):
    name: str
    parameters: Raw = Raw()


class _Result(Struct):
    call: _Call
    outputs: list[Raw] | None = None


class _Said(Struct):
    role: str
    message: str | None = None
    tool_calls: list[_Call] | None = None
    tool_results: list[_Result] | None = None


class _Parameter(Struct):
    type: str | None = None
    description: str | None = None
    required: bool | None = None


class _Tool(Struct):
    name: str
    description: str | None = None
    parameter_definitions: dict[str, _Parameter] | None = None


class _Request(Struct):
    message: str
    chat_history: list[_Said] | None = None
    preamble: str | None = None
    documents: list[Raw] | None = None
    tools: list[_Tool] | None = None
    tool_results: list[_Result] | None = None


class _Whole(Struct):
    text: str | None = None
    tool_calls: list[_Call] | None = None


class _Answer(Chunk):
    text: str | None = None
    tool_calls: list[_Call] | None = None
    finish_reason: str | None = None
    response: _Whole | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Answer | list[_Answer | str | None])


@dataclass(slots=True)
class _Dialogue:
    messages: list[Message] = field(default_factory=list)
    calls: int = 0
    results: int = 0

    def add(self, entry: _Said) -> None:
        """Add what one turn says: its text and calls, then its results."""
        role = _ROLES.get(entry.role.upper())
        if role is None:
            raise Unreadable("a message of an unknown role")
        if role != "tool" and (entry.message or not entry.tool_results):
            turn = self.turn(entry.message or "", entry.tool_calls or [])
            self.messages += turn.messages(role)
        for result in entry.tool_results or ():
            if self.results == self.calls:  # the only trace of its call, which goes before it
                self.messages += self.turn("", [result.call]).messages("assistant")
            self.results += 1
            texts = [compact(output) for output in result.outputs or ()]
            answer = Turn()
            answer.result(f"call_{self.results}", texts)
            self.messages += answer.messages("tool")

    def turn(self, text: str, calls: list[_Call]) -> Turn:
        """A turn of that text and those calls, which are numbered on."""
        turn = Turn(texts=[text])
        for call in calls:
            self.calls += 1
            turn.call(f"call_{self.calls}", call.name, call.parameters)
        return turn


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Command R answers a `text` to a `message`; a stream may begin with another event."""
    if "message" not in request:
        return False
    schema = answer_keys(response)
    return "text" in schema or (isinstance(response, list) and "event_type" in schema)


def read(request: bytes, response: bytes) -> Exchange:
    """Read a message with its history and its answer.

    Documents given to the model stand below the preamble, one JSON value a line.
    """
    request_body, response_body = _REQUEST.decode(request), answers(_RESPONSE.decode(response))
    dialogue = _Dialogue()
    last = _Said("USER", request_body.message, tool_results=request_body.tool_results)
    for entry in (*(request_body.chat_history or ()), last):
        dialogue.add(entry)
    reply = dialogue.turn(*_reply(response_body))
    system = [request_body.preamble or "", *map(compact, request_body.documents or ())]
    words = [answer.finish_reason for answer in response_body if answer.finish_reason]
    return Exchange(
        messages=with_system(system, dialogue.messages),
        response=reply.messages("assistant")[0],
        tools=[_tool(tool) for tool in request_body.tools or ()],
        stop_reason=stop_word(words[-1] if words else None),
        reasoning="\n".join(reply.reasoning),
    )


def _reply(response_body: list[_Answer]) -> tuple[str, list[_Call]]:
    """Text and calls of the reply; the last event of a stream may hold the whole once more."""
    whole = [answer.response for answer in response_body if answer.response]
    if whole:
        return whole[-1].text or "", whole[-1].tool_calls or []
    calls = [call for answer in response_body for call in answer.tool_calls or ()]
    return "".join(answer.text or "" for answer in response_body), calls


def _tool(tool: _Tool) -> JsonObject:
    """Parameters as a JSON schema; Cohere names their types as Python does (`List[str]`)."""
    definitions = tool.parameter_definitions or {}
    schema = {
        "type": "object",
        "properties": {name: _property(parameter) for name, parameter in definitions.items()},
        "required": [name for name, parameter in definitions.items() if parameter.required],
    }
    return function_tool(tool.name, tool.description, Raw(msgspec.json.encode(schema)))


def _property(parameter: _Parameter) -> JsonObject:
    type_name = (parameter.type or "").partition("[")[0].lower()
    schema = {"type": _JSON_TYPES.get(type_name, type_name), "description": parameter.description}
    return {key: value for key, value in schema.items() if value}
