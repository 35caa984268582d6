"""Raw text prompts to chat messages: a prompt is taken apart by the chat template it is written in.

Shapes: the prompt formats that Meta, Mistral AI, DeepSeek, Qwen, OpenAI (harmony), Anthropic (Text
Completions) and Amazon (Titan Text) publish for their models. Only `str.split` and its like are
used: the prompt is untrusted, and each character is looked at a fixed number of times.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, repeat
from typing import NamedTuple

from bedrock_sluice.transforms.chat.messages import ROLES, Message, split_reasoning, with_system
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.reasons import Reason

OPEN_THOUGHT = "<think>"
MAX_MARKERS = 200_000  # of turns in a prompt; each turn is an object of its own

_BLANKS = " \t\r\n"
_STARTS = ("<|begin_of_text|>", "<s>", "<｜begin▁of▁sentence｜>")

_HARMONY_ENDS = ("<|end|>", "<|return|>", "<|call|>")

_Turn = tuple[str, str]
"""Who speaks, and the text with what the template puts around it."""


class _Template(NamedTuple):
    """A chat template: how a prompt in it is recognised, and taken apart.

    All of `signs` stand in the prompt, and it begins with one of them or of `starts`; in a body of
    the template's own `dialect`, a text of the system may come first. The last sign is `last`, and
    it ends in `tail`. So a prompt that only quotes a dialogue is not in the template.
    """

    signs: tuple[str, ...]
    turns: Callable[[str], Iterable[_Turn]]
    starts: tuple[str, ...] = _STARTS
    dialect: str | None = None
    last: str = ""
    tail: str = ""


def split_prompt(prompt: str, dialect: str = "") -> list[Message] | None:
    """The messages of a raw prompt; None if it is not written in a chat template.

    Blanks around a text are the template's. The assistant's turn that the model was to begin is
    left out; what the caller has put into it (a prefill) is a message. Reasoning is left out.

    Raises:
        chat.ContextLost: the system speaks in mid-conversation.
        InputError: there are more than `MAX_MARKERS` of the template's markers.
    """
    padded_prompt = "\n\n" + prompt.lstrip(_BLANKS)  # some of the markers begin with a line break
    fitting = [template for template in _TEMPLATES if _fits(padded_prompt, template)]
    matching_templates = [template for template in fitting if _begins(padded_prompt, template)]
    own = [template for template in fitting if template.dialect == dialect]
    # Whoever writes inside of a turn can't come before its marker.
    template = min(
        matching_templates or own, key=lambda each: padded_prompt.find(each.signs[0]), default=None
    )
    if template is None:
        return None
    if sum(map(prompt.count, template.signs)) > MAX_MARKERS:
        raise InputError(Reason.DECODE_TOO_MANY_KEYS, f"over {MAX_MARKERS:,} markers of turns")
    messages = list[Message]()
    for role, text in template.turns(padded_prompt):
        bare = text.strip(_BLANKS)
        messages.append(Message(role, split_reasoning(bare)[0] if role == "assistant" else bare))
    if messages[-1].role == "assistant" and messages[-1].content in {"", OPEN_THOUGHT}:
        messages.pop()
    return with_system([], messages)


def _fits(padded_prompt: str, template: _Template) -> bool:
    has_signs = all(sign in padded_prompt for sign in template.signs)
    is_last = padded_prompt.rfind(template.last) >= max(map(padded_prompt.rfind, template.signs))
    return has_signs and is_last and padded_prompt.rstrip(_BLANKS).endswith(template.tail)


def _begins(padded_prompt: str, template: _Template) -> bool:
    starts = (*template.signs, *template.starts)
    return padded_prompt.startswith(starts) or padded_prompt.lstrip(_BLANKS).startswith(starts)


def split_channels(prompt: str, text: str) -> tuple[str, str] | None:
    """What a reply in harmony's channels says, and its reasoning; None if it has no channels."""
    if "<|message|>" not in text:
        return None
    header, mark, _ = prompt.rpartition("<|start|>")[2].partition("<|message|>")
    texts, thoughts = list[str](), list[str]()
    for piece in f"{header}{mark}{text}".split("<|start|>"):
        head, _, body = piece.partition("<|message|>")
        channel = head.partition("<|channel|>")[2].strip()
        speech = thoughts if channel.startswith("analysis") else texts
        speech.append(_strip_end(body, _HARMONY_ENDS))
    return "\n".join(texts), "\n".join(reasoning.strip() for reasoning in thoughts)


def _split_headers(prompt: str, opens: str, closes: str, ends: tuple[str, ...]) -> Iterator[_Turn]:
    """Turns that each begin with a header between `opens` and `closes`, which names the role."""
    lead, *pieces = prompt.split(opens)
    yield "system", _strip_start(lead)
    for piece in pieces:
        header, _, text = piece.partition(closes)
        yield _role(header), _strip_end(text, ends)


def _harmony(prompt: str) -> Iterator[_Turn]:
    """Harmony's headers name a channel too; `analysis` is what the model thought."""
    lead, *pieces = prompt.split("<|start|>")
    yield "system", lead
    for piece in pieces:
        header, _, text = piece.partition("<|message|>")
        role, _, channel = header.partition("<|channel|>")
        if not channel.startswith("analysis"):
            yield _role(role), _strip_end(text, _HARMONY_ENDS)


def _split_markers(
    prompt: str, user: str, assistant: str, ends: tuple[str, ...] = ()
) -> Iterator[_Turn]:
    """Turns that each begin with the marker of who speaks; what stands before is the system's."""
    speakers = chain(["system"], repeat("user"))
    for speaker, piece in zip(speakers, prompt.split(user), strict=False):
        texts, *replies = piece.split(assistant)
        yield speaker, _strip_start(texts) if speaker == "system" else _strip_end(texts, ends)
        yield from (("assistant", _strip_end(reply, ends)) for reply in replies)


def _split_brackets(prompt: str) -> Iterator[_Turn]:
    """Turns of the user in brackets, as Llama 2 and Mistral have them; replies stand between."""
    lead, *pieces = prompt.split("[INST]")
    lead = _strip_start(lead).removeprefix("[SYSTEM_PROMPT]")
    yield "system", _strip_end(lead, ("[/SYSTEM_PROMPT]",))
    for piece in pieces:
        user_text, _, reply = piece.partition("[/INST]")
        if user_text.lstrip(_BLANKS).startswith("<<SYS>>"):
            system, _, user_text = user_text.partition("<</SYS>>")
            yield "system", system.lstrip(_BLANKS).removeprefix("<<SYS>>").strip(_BLANKS)
        yield "user", user_text
        if texts := _strip_end(reply, ("<s>", "</s>")):
            yield "assistant", texts


def _role(header: str) -> str:
    """A role of chat messages; any other speaker (`ipython`, a function) is a tool."""
    name = header.split(maxsplit=1)[0] if header.strip() else ""
    if name == "developer":
        return "system"
    return name if name in ROLES else "tool"


def _strip_start(text: str) -> str:
    text = text.strip(_BLANKS)
    for start in _STARTS:
        text = text.removeprefix(start)
    return text.strip(_BLANKS)


def _strip_end(text: str, ends: tuple[str, ...]) -> str:
    for end in ends:
        text = text.rstrip(_BLANKS).removesuffix(end)
    return text.rstrip(_BLANKS)


_TEMPLATES = (
    # Llama 3
    _Template(
        ("<|start_header_id|>", "<|end_header_id|>"),
        partial(
            _split_headers,
            opens="<|start_header_id|>",
            closes="<|end_header_id|>",
            ends=("<|eot_id|>", "<|eom_id|>"),
        ),
    ),
    # Llama 4
    _Template(
        ("<|header_start|>", "<|header_end|>"),
        partial(
            _split_headers,
            opens="<|header_start|>",
            closes="<|header_end|>",
            ends=("<|eot|>", "<|eom|>"),
        ),
    ),
    # ChatML: Qwen and others
    _Template(
        ("<|im_start|>", "<|im_end|>"),
        partial(_split_headers, opens="<|im_start|>", closes="\n", ends=("<|im_end|>",)),
    ),
    # gpt-oss
    _Template(("<|start|>", "<|message|>"), _harmony),
    # DeepSeek
    _Template(
        ("<｜User｜>", "<｜Assistant｜>"),
        partial(
            _split_markers,
            user="<｜User｜>",
            assistant="<｜Assistant｜>",
            ends=("<｜end▁of▁sentence｜>",),
        ),
    ),
    # Llama 2 and Mistral
    _Template(
        ("[INST]", "[/INST]"), _split_brackets, (*_STARTS, "[SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]")
    ),
    # Claude's Text Completions; its markers, and Titan's, are everyday words
    _Template(
        ("\n\nHuman:", "\n\nAssistant:"),
        partial(_split_markers, user="\n\nHuman:", assistant="\n\nAssistant:"),
        starts=(),
        dialect="claude_text",
        last="\n\nAssistant:",
    ),
    # Titan: the last turn must be the one to be filled
    _Template(
        ("\nUser:", "\nBot:"),
        partial(_split_markers, user="\nUser:", assistant="\nBot:"),
        starts=(),
        dialect="titan_text",
        tail="\nBot:",
    ),
)
