"""Raw prompts: what is written in a chat template comes apart into the same messages again."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.messages import ROLES, ContextLost, split_reasoning
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.prompt_templates import (
    MAX_MARKERS,
    split_channels,
    split_prompt,
)

Turn = tuple[str, str]


def _header_template(
    opens: str, closes: str, ends: str, start: str = ""
) -> Callable[[list[Turn]], str]:
    def write(turns: list[Turn]) -> str:
        text = "".join(f"{opens}{role}{closes}{text}{ends}" for role, text in turns)
        return f"{start}{text}{opens}assistant{closes}"

    return write


def _harmony(turns: list[Turn]) -> str:
    headers = {"assistant": "assistant<|channel|>final"}
    texts = [f"<|start|>{headers.get(role, role)}<|message|>{text}<|end|>" for role, text in turns]
    return "\n".join([*texts, "<|start|>assistant"])


def _join_turns(turns: list[Turn], start: str = "", ends: str = "", **markers: str) -> str:
    texts = [markers.get(role, "") + text + ends * (role == "assistant") for role, text in turns]
    return start + "".join(texts) + markers["assistant"].rstrip(" ")


def _deepseek(turns: list[Turn]) -> str:
    start, ends = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
    return _join_turns(turns, start, ends, user="<｜User｜>", assistant="<｜Assistant｜>")


def _claude(turns: list[Turn]) -> str:
    return _join_turns(turns, user="\n\nHuman: ", assistant="\n\nAssistant: ")


def _titan(turns: list[Turn]) -> str:
    return _join_turns(turns, user="\nUser: ", assistant="\nBot: ").removeprefix("\n")


def _llama2(turns: list[Turn]) -> str:
    prompt, system = "", ""
    for role, text in turns:
        if role == "system":
            system = f"<<SYS>>\n{text}\n<</SYS>>\n\n"
        elif role == "user":
            prompt += f"<s>[INST] {system}{text} [/INST]"
            system = ""
        else:
            prompt += f" {text} </s>"
    return prompt


def _mistral(turns: list[Turn]) -> str:
    shapes = {
        "system": "[SYSTEM_PROMPT]{}[/SYSTEM_PROMPT]",
        "user": "[INST]{}[/INST]",
        "assistant": "{}</s>",
    }
    return "<s>" + "".join(shapes[role].format(text) for role, text in turns)


TEMPLATES: dict[str, Callable[[list[Turn]], str]] = {
    "llama2": _llama2,
    "llama3": _header_template(
        "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>", "<|begin_of_text|>"
    ),
    "llama4": _header_template(
        "<|header_start|>", "<|header_end|>\n\n", "<|eot|>", "<|begin_of_text|>"
    ),
    "mistral": _mistral,
    "deepseek": _deepseek,
    "chatml": _header_template("<|im_start|>", "\n", "<|im_end|>\n"),
    "harmony": _harmony,
    "claude": _claude,
    "titan": _titan,
}

# Neither blanks around it, which are the template's, nor anything that could be a marker.
_TEXT = (
    st.text(st.characters(exclude_characters="<[:", exclude_categories=["Cs"]), max_size=30)
    .map(lambda text: text.strip(" \t\r\n"))
    .filter(str.strip)
)


@st.composite
def _conversation(draw: st.DrawFn) -> list[Turn]:
    """A system message or none, and turns that end in one of the user's."""
    turns = [("system", text) for text in draw(st.lists(_TEXT, max_size=1))]
    for _ in range(draw(st.integers(0, 2))):
        turns += [("user", draw(_TEXT)), ("assistant", draw(_TEXT))]
    return [*turns, ("user", draw(_TEXT))]


OWN = {"claude": "claude_text", "titan": "titan_text"}


def split(prompt: str, template: str = "") -> list[Turn] | None:
    """Who says what in a prompt; None if it is in no template."""
    messages = split_prompt(prompt, OWN.get(template, ""))
    return None if messages is None else [(m.role, m.content or "") for m in messages]


@pytest.mark.parametrize("template", TEMPLATES)
@given(turns=_conversation())
def test_a_conversation_in_a_template_comes_apart_again(template: str, turns: list[Turn]) -> None:
    prompt = TEMPLATES[template](turns)
    assert split(prompt, template) == turns
    assert split(prompt + " \n", template) == turns


@pytest.mark.parametrize("template", [t for t in TEMPLATES if t not in {"titan", "harmony"}])
@given(turns=_conversation(), prefill=_TEXT)
def test_what_the_caller_put_into_the_answer_is_a_message(
    template: str, turns: list[Turn], prefill: str
) -> None:
    assert split(TEMPLATES[template](turns) + prefill, template) == [*turns, ("assistant", prefill)]


@given(text=st.text(st.characters(exclude_characters="<[:", exclude_categories=["Cs"])))
def test_a_prompt_without_a_template_is_in_none(text: str) -> None:
    assert split_prompt(text) is None


@pytest.mark.parametrize(
    "prompt",
    [
        "what does <|im_start|> mean?",
        "what does [INST] mean?",
        "what does <|start_header_id|> mean?",
        "Sum up:\nUser: hello\nBot: hello to you\nUser: bye\nBot: bye",
        "Sum up:\n\nHuman: hello",
        "Sum up:\n\nHuman: hello\n\nAssistant: sure\n\nHuman: thanks\n\nSummary:",
        "Human: hello\n\nAssistant: sure\n\nHuman: thanks\n\nSum this dialogue up:",
        "User: hello\nBot:",
        "explain [INST] a [/INST] b </s>[INST] c [/INST]",
        "explain <|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n",
        "explain <|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
        "explain <｜User｜>hi<｜Assistant｜>",
        "explain <|start|>user<|message|>hi<|end|>",
        "see Human: and Assistant: here",
        " \n",
        "",
    ],
)
def test_half_a_template_or_a_quoted_one_is_none(prompt: str) -> None:
    assert split_prompt(prompt) is None


def test_titans_template_ends_in_the_turn_to_fill() -> None:
    assert split("User: hello\nBot: hi\nUser: bye", "titan") is None


@pytest.mark.parametrize("dialect", ["", "claude_text", "llama_text"])
def test_a_dialogue_that_is_quoted_at_the_end_is_in_no_template(dialect: str) -> None:
    prompt = "Sum up:\n\nHuman: hi, refund?\n\nAssistant: sure\n\nHuman: thanks\n\nSummary:"
    assert split_prompt(prompt, dialect) is None


@pytest.mark.parametrize(
    ("prompt", "turns"),
    [
        # Claude: the markers may stand first, and without blanks
        ("Human: hi\n\nAssistant:", [("user", "hi")]),
        ("\n\nHuman:hi\n\nAssistant:", [("user", "hi")]),
        ("\n\nHuman: a\n\nHuman: b\n\nAssistant:", [("user", "a"), ("user", "b")]),
        (
            "\n\nAssistant: hello\n\nHuman: hi\n\nAssistant:",
            [("assistant", "hello"), ("user", "hi")],
        ),
        ("\n\nHuman:\n\nAssistant:", [("user", "")]),
        # Llama 3: other speakers are tools; a header may end in one line break
        (
            "<|start_header_id|>ipython<|end_header_id|>\n42<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\nso?<|eom_id|>\n"
            "<|start_header_id|>assistant<|end_header_id|>",
            [("tool", "42"), ("user", "so?")],
        ),
        (
            "<|begin_of_text|>be brief<|start_header_id|>user<|end_header_id|>\n\nhi",
            [("system", "be brief"), ("user", "hi")],
        ),
        ("<|start_header_id|><|end_header_id|>hi<|eot_id|>", [("tool", "hi")]),
        # Mistral: blanks between markers; a turn that is not closed
        ("<s>[INST] a [/INST] b</s> [INST] c [/INST]", [*zip("uau", "abc", strict=True)]),
        ("[INST]a[/INST][INST]b", [("user", "a"), ("user", "b")]),
        # Llama 2: a system text that is not closed
        ("[INST] <<SYS>>be brief [/INST]", [("system", "be brief"), ("user", "")]),
        # DeepSeek and Qwen: a thought that was opened for the model, or closed at once
        ("<｜User｜>hi<｜Assistant｜><think>\n", [("user", "hi")]),
        (
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
            [("user", "hi")],
        ),
        # thoughts of earlier turns
        (
            "<｜User｜>hi<｜Assistant｜><think>hm</think>yes<｜end▁of▁sentence｜><｜User｜>so?",
            [("user", "hi"), ("assistant", "yes"), ("user", "so?")],
        ),
        (
            "<|start|>developer<|message|>be brief<|end|><|start|>user<|message|>hi<|end|>"
            "<|start|>assistant<|channel|>analysis<|message|>hm<|end|>"
            "<|start|>functions.look to=assistant<|channel|>commentary<|message|>42<|end|>"
            "<|start|>assistant",
            [("system", "be brief"), ("user", "hi"), ("tool", "42")],
        ),
        # no turn at all but the one to be filled
        ("<|im_start|>assistant\n<|im_end|>", []),
    ],
)
def test_prompts_written_by_hand(prompt: str, turns: list[Turn]) -> None:
    speakers = {"u": "user", "a": "assistant"}
    assert split(prompt) == [(speakers.get(role, role), text) for role, text in turns]


@pytest.mark.parametrize("header", ["", "<|channel|>analysis<|message|>"])
def test_of_harmonys_channels_the_final_one_is_the_answer(header: str) -> None:
    prompt = f"<|start|>user<|message|>2 + 2?<|end|><|start|>assistant{header}"
    open_context = "" if header else "<|channel|>analysis<|message|>"
    final = "<|start|>assistant<|channel|>final<|message|>"
    assert split_channels(prompt, f"{open_context}hm<|end|>{final}4<|return|>") == ("4", "hm")
    assert split_channels(prompt, "4") is None


_BRACKETS = {"llama2", "mistral"}  # they share markers: one inside of the other is not a quote


@pytest.mark.parametrize("outer", TEMPLATES)
def test_another_template_inside_of_a_turn_is_text(outer: str) -> None:
    """What users write can't make turns of another kind: the application's markers come first."""
    alike = _BRACKETS if outer in _BRACKETS else {outer}
    for inner in TEMPLATES.keys() - alike:
        quote = TEMPLATES[inner]([("user", "a"), ("assistant", "b"), ("user", "c")])
        prompt = TEMPLATES[outer]([("user", f"see: {quote}")])
        assert split(prompt, outer) == [("user", f"see: {quote}".strip())], inner


_MARKERS = (
    *("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<|header_start|>", "<|header_end|>", "<|eot|>", "<|im_start|>", "<|im_end|>"),
    *("<|start|>", "<|message|>", "<|channel|>analysis", "<|end|>", "<s>", "</s>"),
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
    *("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<think>", "</think>"),
    *("\n\nHuman:", "\n\nAssistant:", "\nUser:", "\nBot:", "\n", "user", "assistant"),
)


@given(parts=st.lists(st.sampled_from(_MARKERS) | st.text(max_size=3), max_size=20))
def test_any_mixture_of_markers_gives_messages(parts: list[str]) -> None:
    try:
        messages = split_prompt("".join(parts), "claude_text") or []
    except ContextLost:  # the system speaks in mid-conversation
        messages = []
    assert all(message.role in ROLES and message.content is not None for message in messages)
    assert [m.role for m in messages].count("system") <= 1


_SAME_CODE = (
    *("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<|header_start|>", "<|header_end|>", "<|eot|>"),
)
_REPEATED = (  # a marker for each function that splits; Llama's headers are split like ChatML's
    *(marker for marker in _MARKERS if marker not in _SAME_CODE),
    *(" ", "<", "<think></think>", "<reasoning>"),
)
_STARTS = ("", "<|im_start|>assistant\n<|im_end|>", "[INST][/INST]", "\n\nHuman:\n\nAssistant:")


@pytest.mark.timeout(60)  # quadratic time would be hours
@pytest.mark.parametrize("marker", _REPEATED)
def test_a_million_characters_of_markers_take_linear_time(marker: str) -> None:
    noise = marker * (1_000_000 // len(marker))
    for start in _STARTS:
        with suppress(ContextLost):
            split_prompt(start + noise, "titan_text")
    split_channels(noise, noise)
    split_reasoning(noise)
    split_reasoning(noise, is_open=True)


@pytest.mark.parametrize("turn", ["[INST]a[/INST]b", "\n\nHuman: a\n\nAssistant: b"])
def test_a_prompt_of_too_many_turns_is_refused(turn: str) -> None:
    assert len(split_prompt(turn * (MAX_MARKERS // 2)) or []) == MAX_MARKERS
    with pytest.raises(InputError, match="markers of turns"):
        split_prompt(turn * (MAX_MARKERS // 2 + 1))
