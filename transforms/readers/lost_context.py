"""Fields of a request that shape its response and that chat messages can't carry."""

from collections.abc import Iterator

import msgspec

from bedrock_sluice.transforms.chat.messages import ContextLost
from bedrock_sluice.transforms.readers.reader import Keys

_MANAGED_PROMPT = ":prompt/"  # in the ARN of a prompt of Prompt management

_FIELDS = {
    "promptVariables": "the variables of a managed prompt",
    "functions": "functions in place of tools",
    "connectors": "a tool that the service runs",
    "web_search_options": "a tool that the service runs",
    "mcp_servers": "a tool that the service runs",
    "container": "a tool that the service runs",
    "context_management": "a history that the service edits",
    "previous_response_id": "a part of the prompt that is stored apart",
    "conversation": "a part of the prompt that is stored apart",
}
_MORE_FIELDS = ("tools", "system", "messages", "documents")  # of Converse, in the model's own words

# Where an API has the format of the output.
_FORMATS = (
    ("response_format",),
    ("output_format",),
    ("text", "format"),
    ("outputConfig", "textFormat"),
    ("output_config", "format"),
)
_SCHEMAS = ("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs")

_NAMES = {
    *(*_FIELDS, *_SCHEMAS, *(path[0] for path in _FORMATS)),
    *("documents", "input", "additionalModelRequestFields"),
}
_EMPTY = frozenset({b"null", b"[]", b"{}", b'""', b"false"})
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.Raw(b'"text"')


def is_managed_prompt(model_id: str | None) -> bool:
    """Whether a call names a prompt of Prompt management, whose text is not logged."""
    return model_id is not None and _MANAGED_PROMPT in model_id


def refuse_lost_context(request: Keys) -> None:
    """Refuse a request with a field that shapes the response and that messages can't carry.

    Raises:
        chat.ContextLost: it has one.
    """
    if _NAMES.isdisjoint(request):
        return  # as most requests are
    for part in _lost_fields(request):
        raise ContextLost(part)
    fields = _keys(request.get("additionalModelRequestFields"))
    for part in _lost_fields(fields):
        raise ContextLost(part)
    if any(_has(fields, name) for name in _MORE_FIELDS):
        raise ContextLost("a part of the prompt in additionalModelRequestFields")


def _lost_fields(request: Keys) -> Iterator[str]:
    yield from (part for name, part in _FIELDS.items() if _has(request, name))
    has_schema = any(_has(request, name) for name in _SCHEMAS)
    if has_schema or any(_has_format(request, path) for path in _FORMATS):
        yield "the format of the output"
    if "message" not in request and _has(request, "documents"):
        yield "documents"  # of Command R, they are carried
    if "input" in request and _has(request, "prompt"):
        yield "a part of the prompt that is stored apart"


def _has(request: Keys, name: str) -> bool:
    return name in request and bytes(request[name]) not in _EMPTY


def _has_format(request: Keys, path: tuple[str, ...]) -> bool:
    for name in path[:-1]:
        request = _keys(request.get(name))
    return _has(request, path[-1]) and _keys(request[path[-1]]).get("type") != _TEXT


def _keys(value: msgspec.Raw | None) -> Keys:
    return _OBJECT.decode(value) if value and bytes(value).startswith(b"{") else {}
