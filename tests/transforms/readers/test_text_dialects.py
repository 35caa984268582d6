"""Native dialects of raw prompts and of Cohere, whole and streamed; and calls without any text."""

import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.exchanges import read_bodies
from bedrock_sluice.transforms.readers.registry import readers
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]
Answer = Callable[[str, str | None], Json]


def _completion(text: str, stop: str | None) -> Json:
    return {"type": "completion", "completion": text, "stop_reason": stop, "stop": None}


def _generation(text: str, stop: str | None) -> Json:
    return {"generation": text, "prompt_token_count": 9, "stop_reason": stop}


def _result(text: str, stop: str | None) -> Json:
    return {"outputText": text, "index": 0, "completionReason": stop}


def _results(text: str, stop: str | None) -> Json:
    result = {"tokenCount": 3, "outputText": text, "completionReason": stop}
    return {"inputTextTokenCount": 9, "results": [result]}


def _outputs(text: str, stop: str | None) -> Json:
    return {"outputs": [{"text": text, "stop_reason": stop}]}


def _choices(text: str, stop: str | None) -> Json:
    return {"choices": [{"text": text, "stop_reason": stop}]}


def _openai_choices(text: str, stop: str | None) -> Json:
    return {"object": "text_completion", "choices": [{"text": text, "finish_reason": stop}]}


def _text_reply(text: str, stop: str | None) -> Json:
    return {"response_id": "a", "text": text, "finish_reason": stop}


def _event(text: str, stop: str | None) -> Json:
    if stop is None:
        return {"event_type": "text-generation", "text": text, "is_finished": False}
    end = {"event_type": "stream-end", "is_finished": True, "finish_reason": stop}
    return end | ({"text": text} if text else {})


def _token(text: str, stop: str | None) -> Json:
    end = {"is_finished": True, "finish_reason": stop} if stop else {"is_finished": False}
    return {"text": text, **end}


def _generations(text: str, stop: str | None) -> Json:
    return {"prompt": "?", "generations": [{"id": "a", "text": text, "finish_reason": stop}]}


def _completions(text: str, stop: str | None) -> Json:
    finish = {"reason": stop, "length": None} if stop else None
    return {"completions": [{"data": {"text": text, "tokens": []}, "finishReason": finish}]}


FAMILIES: dict[str, tuple[str, str, Answer, Answer, str]] = {
    # family: dialect, key of the prompt, whole answer, chunk, how it says that all was said
    "claude": ("claude_text", "prompt", _completion, _completion, "stop_sequence"),
    "llama": ("llama_text", "prompt", _generation, _generation, "stop"),
    "titan": ("titan_text", "inputText", _results, _result, "FINISH"),
    "mistral": ("mistral_text", "prompt", _outputs, _outputs, "stop"),
    "deepseek": ("completions_text", "prompt", _choices, _choices, "stop"),
    "openai": ("completions_text", "prompt", _openai_choices, _openai_choices, "stop"),
    "command_r": ("cohere_command", "message", _text_reply, _event, "COMPLETE"),
    "command_r_tokens": ("cohere_command", "message", _text_reply, _token, "COMPLETE"),
    "command": ("cohere_generate", "prompt", _generations, _token, "COMPLETE"),
    "jurassic": ("ai21_text", "prompt", _completions, _completions, "endoftext"),
}

METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 3}}


def read(request: object, response: object) -> Exchange:
    """The exchange of two bodies."""
    return read_bodies(json.dumps(request).encode(), json.dumps(response).encode())[1]


def whole_bodies(family: str, prompt: str, text: str, stop: str | None = None) -> tuple[Json, Json]:
    """The bodies of a prompt and its answer, not streamed."""
    _, key, whole, _, end = FAMILIES[family]
    return {key: prompt, "temperature": 0.5}, whole(text, stop or end)


def streamed_bodies(family: str, prompt: str, pieces: list[str]) -> tuple[Json, list[object]]:
    """The bodies of a prompt and its answer, streamed in those pieces."""
    _, key, _, chunk, end = FAMILIES[family]
    chunks: list[object] = [chunk(piece, None) for piece in pieces]
    return {key: prompt, "stream": True}, [*chunks, chunk("", end) | METRICS, "[DONE]"]


def claimants(request: Json, response: Json | list[object]) -> list[str]:
    """The readers that claim two bodies."""
    request_keys = {key: msgspec.Raw(json.dumps(value).encode()) for key, value in request.items()}
    response_keys = msgspec.json.decode(
        json.dumps(response).encode(), type=dict[str, msgspec.Raw] | list[msgspec.Raw]
    )
    return [reader.DIALECT for reader in readers() if reader.claims(request_keys, response_keys)]


_PLAIN = st.text(
    st.characters(exclude_characters="<[:", exclude_categories=["Cs"]), min_size=1, max_size=20
)


@pytest.mark.parametrize("family", FAMILIES)
@given(prompt=_PLAIN, pieces=st.lists(_PLAIN, max_size=4))
def test_an_answer_reads_the_same_whole_and_in_any_chunks(
    family: str, prompt: str, pieces: list[str]
) -> None:
    text = "".join(pieces)
    whole = read(*whole_bodies(family, prompt, text))
    assert [(m.role, m.content) for m in whole.messages] == [("user", prompt)]
    assert whole.response.content == text
    assert whole.stop_reason in {"end_turn", "stop_sequence"}
    assert read(*streamed_bodies(family, prompt, pieces)) == whole


@pytest.mark.parametrize("family", FAMILIES)
def test_exactly_one_reader_claims_a_body_whole_or_streamed(family: str) -> None:
    dialect = FAMILIES[family][0]
    assert claimants(*whole_bodies(family, "?", "4")) == [dialect]
    assert claimants(*streamed_bodies(family, "?", ["4", "2"])) == [dialect]


@pytest.mark.parametrize("family", [f for f in FAMILIES if not f.startswith("command_r")])
def test_a_prompt_in_a_template_comes_apart(family: str) -> None:
    """Blanks between the template and the answer are the template's."""
    prompt = "\n\nHuman: hi\n\nAssistant: yes?\n\nHuman: 2 + 2?\n\nAssistant:"
    exchange = read(*whole_bodies(family, prompt, " 4\n"))
    turns = [(message.role, message.content) for message in exchange.messages]
    assert turns == [("user", "hi"), ("assistant", "yes?"), ("user", "2 + 2?")]
    assert exchange.response.content == "4"


def test_a_prompt_that_quotes_a_dialogue_stays_whole() -> None:
    prompt = "Sum up:\n\nHuman: refund?\n\nAssistant: done.\n\nHuman: thanks\n\nSummary:"
    assert [m.content for m in read({"prompt": prompt}, {"generation": "4"}).messages] == [prompt]


def test_a_guardrail_is_seen_in_streams_too() -> None:
    request, chunks = streamed_bodies("claude", "?", ["no"])
    chunks.insert(1, {"amazon-bedrock-guardrailAction": "INTERVENED"})
    stop_reason = read(request, chunks).stop_reason
    assert (stop_reason or "").startswith("guardrail_")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_that_failed_is_refused(family: str) -> None:
    request, chunks = streamed_bodies(family, "?", ["4"])
    with pytest.raises(InputError, match="curate_error"):
        read(request, [*chunks, {"modelStreamErrorException": {"message": "oops"}}])


@pytest.mark.parametrize(
    ("family", "word", "stop_reason"),
    [
        ("claude", "stop_sequence", "stop_sequence"),
        ("claude", "max_tokens", "max_tokens"),
        ("llama", "stop", "end_turn"),
        ("llama", "length", "max_tokens"),
        ("titan", "FINISH", "end_turn"),
        ("titan", "FINISHED", "end_turn"),
        ("titan", "LENGTH", "max_tokens"),
        ("titan", "STOP_CRITERIA_MET", "stop_sequence"),
        ("titan", "CONTENT_FILTERED", "content_filtered"),
        ("mistral", "length", "max_tokens"),
        ("mistral", "model_length", "model_context_window_exceeded"),
        ("deepseek", "length", "max_tokens"),
        ("openai", "eos_token", "end_turn"),
        ("openai", "content_filter", "content_filtered"),
        ("command_r", "COMPLETE", "end_turn"),
        ("command_r", "complete", "end_turn"),
        ("command_r", "max_tokens", "max_tokens"),
        ("command_r", "error_toxic", "content_filtered"),
        ("command_r", "ERROR_LIMIT", "model_context_window_exceeded"),
        ("command", "MAX_TOKENS", "max_tokens"),
        ("command", "ERROR_TOXIC", "content_filtered"),
        ("command", "novel", "novel"),
        ("jurassic", "endoftext", "end_turn"),
        ("jurassic", "length", "max_tokens"),
    ],
)
def test_each_familys_words_are_told_in_those_of_converse(
    family: str, word: str, stop_reason: str
) -> None:
    assert read(*whole_bodies(family, "?", "4", word)).stop_reason == stop_reason


def test_the_number_of_a_token_is_a_stop_reason() -> None:
    choices = [{"text": "4", "stop_reason": 151_645, "finish_reason": None}]
    assert read({"prompt": "?"}, {"choices": choices}).stop_reason == "stop_sequence"


_OPEN_THOUGHT = "<｜User｜>2 + 2?<｜Assistant｜><think>\n"


@pytest.mark.parametrize(
    ("prompt", "text", "answer", "reasoning"),
    [
        ("2 + 2?", "<think>\nhm\n</think>\n\n4", "4", "hm"),
        ("2 + 2?", "hm\n</think>\n\n4", "4", "hm"),
        (_OPEN_THOUGHT, "hm\n</think>\n\n4", "4", "hm"),
        (_OPEN_THOUGHT, "hm</think>4", "4", "hm"),
        (_OPEN_THOUGHT, "hm, cut off", "", "hm, cut off"),
        (_OPEN_THOUGHT, "\n</think>\n\n4", "4", ""),
        ("2 + 2?", "<reasoning>hm</reasoning>4", "4", "hm"),
        ("2 + 2?", "<thinking>hm</thinking> <thinking>so</thinking>4", "4", "hm\nso"),
        ("2 + 2?", "The tag </think> ends it.", "The tag </think> ends it.", ""),
        ("2 + 2?", "`<think>`\n</think>\n", "`<think>`\n</think>\n", ""),
        ("2 + 2?", "4 <think>hm</think>", "4 <think>hm</think>", ""),
    ],
)
def test_reasoning_goes_into_its_own_field(
    prompt: str, text: str, answer: str, reasoning: str
) -> None:
    exchange = read({"prompt": prompt}, {"choices": [{"text": text, "stop_reason": "stop"}]})
    assert exchange.response.content == answer
    assert exchange.reasoning == reasoning
    assert [message.content for message in exchange.messages] == ["2 + 2?"]


@pytest.mark.parametrize(
    ("key", "response", "text"),
    [
        ("inputText", {"results": [{"outputText": "a"}, {"outputText": "b"}]}, "a"),
        ("inputText", [{"outputText": "a"}, {"outputText": "b"}], "ab"),
        ("inputText", {"outputText": "a"}, "a"),
        ("prompt", {"choices": [{"text": "a"}, {"text": "b"}]}, "a"),
        ("prompt", {"outputs": [{"text": "a"}, {"text": "b"}]}, "a"),
        ("prompt", {"generations": [{"text": "a"}, {"text": "b"}]}, "a"),
    ],
)
def test_of_several_answers_the_first_is_taken(key: str, response: object, text: str) -> None:
    assert read({key: "?"}, response).response.content == text


@pytest.mark.parametrize("inside", ["choices", None])
def test_of_several_streamed_answers_the_first_is_taken(inside: str | None) -> None:
    pieces = [{"text": text, "index": n % 2, "is_finished": False} for n, text in enumerate("axbx")]
    chunks = [{inside: [piece]} if inside else piece for piece in pieces]
    assert read({"prompt": "?"}, chunks).response.content == "ab"


def test_images_beside_a_prompt_are_told() -> None:
    assert read({"prompt": "?", "images": ["aWk="]}, {"generation": "4"}).has_media
    assert not read({"prompt": "?", "images": None}, {"generation": "4"}).has_media


# --- what no reader knows


@pytest.mark.parametrize(
    ("request_body", "response_body"),
    [
        ({"prompt": "?"}, {}),
        ({"prompt": "?"}, {"answer": "4"}),
        ({"prompt": "?"}, {"text": "4"}),
        ({"prompt": "?"}, []),
        ({"prompt": "?"}, ["[DONE]"]),
        ({"prompt": "?"}, [{"text": "4"}]),
        ({"prompt": "?"}, [METRICS]),
        ({"prompt": ["?"]}, {"generation": "4"}),
        ({"prompt": "?"}, {"generation": 4}),
        ({"prompt": "?"}, {"choices": []}),
        ({"prompt": "?"}, {"outputs": []}),
        ({"prompt": "?"}, {"completions": [{}]}),
        ({"inputText": "?"}, {"results": []}),
        ({"inputText": "?", "textGenerationConfig": {}}, {}),
        ({"message": "?"}, {}),
        ({"message": "?", "chat_history": [{"role": "NARRATOR"}]}, {"text": "4"}),
    ],
)
def test_an_unknown_shape_is_said_to_be_one(request_body: Json, response_body: object) -> None:
    with pytest.raises(InputError) as refusal:
        read(request_body, response_body)
    assert refusal.value.reason == Reason.DECODE_UNKNOWN_SHAPE


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or table inside a JSON value, with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


JUNK: tuple[object, ...] = (None, 7, "x", [], {}, [None], {"a": [1]})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_body_with_any_part_replaced_is_an_exchange_or_refused(family: str) -> None:
    outcomes = set[str]()
    for pair in (whole_bodies(family, "?", "4"), streamed_bodies(family, "?", ["4", "2"])):
        bodies = json.loads(json.dumps(pair))  # a list, whose items can be replaced too
        for junk, (inside, key) in product(JUNK, _places(bodies)):
            part, inside[key] = inside[key], junk
            try:
                read(*bodies)
                outcomes.add("exchange")
            except InputError as error:
                outcomes.add(error.reason)
            inside[key] = part
    assert {"exchange", Reason.DECODE_UNKNOWN_SHAPE} <= outcomes <= {"exchange", *Reason}


# --- calls that no text came back from


@pytest.mark.parametrize(
    ("request_body", "response_body", "reason"),
    [
        ({"inputText": "a"}, {"embedding": [0.5], "inputTextTokenCount": 1}, "embedding"),
        ({"inputText": "a"}, {"embeddingsByType": {"float": [0.5]}}, "embedding"),
        ({"inputText": "a", "inputImage": "aWk="}, {"embedding": [0.5]}, "embedding"),
        ({"texts": ["a"], "input_type": "search_query"}, {"embeddings": [[0.5]]}, "embedding"),
        (
            {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {}},
            {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5]}]},
            "embedding",
        ),
        ({"inputType": "text", "inputText": "a"}, {"data": [{"embedding": [0.5]}]}, "embedding"),
        ({"inputText": "a"}, {"inputTextTokenCount": 1}, "embedding"),
        ({"inputText": "a"}, {}, "embedding"),
        ({"texts": ["a"]}, {"id": "a"}, "embedding"),
        ({"taskType": "TEXT_IMAGE"}, {"images": ["aWk="], "error": None}, "image_generation"),
        ({"taskType": "TEXT_IMAGE"}, {"error": "no"}, "image_generation"),
        ({"prompt": "a cat"}, {"images": ["aWk="], "seeds": [1]}, "image_generation"),
        ({"text_prompts": [{"text": "a"}]}, {"artifacts": [{}]}, "image_generation"),
        ({"text_prompts": [{"text": "a"}]}, {"result": "error"}, "image_generation"),
    ],
)
def test_embeddings_and_images_are_said_to_be_such(
    request_body: Json, response_body: Json, reason: str
) -> None:
    with pytest.raises(InputError) as refusal:
        read(request_body, response_body)
    assert refusal.value.reason == f"curate_{reason}"


# --- OpenAI chat messages in native bodies: one reader for all families

_LOOK_CALL = {"id": "t1", "function": {"name": "look", "arguments": '{"at": "sky"}'}}


@pytest.mark.parametrize(
    ("family", "request_more", "choice", "text", "stop_reason"),
    [
        ("jamba", {"n": 1}, {"finish_reason": "stop"}, "4", "end_turn"),
        ("mistral", {"max_tokens": 9}, {"stop_reason": "stop"}, "4", "end_turn"),
        ("mistral", {"max_tokens": 9}, {"stop_reason": "length"}, "4", "max_tokens"),
        ("qwen", {"max_tokens": 9}, {"finish_reason": "stop"}, "<think>\nhm\n</think>\n\n4", None),
        ("gpt-oss", {"max_completion_tokens": 9}, {}, "<reasoning>hm</reasoning>4", None),
        ("deepseek", {}, {"stop_reason": "stop"}, "hm\n</think>\n\n4", "end_turn"),
    ],
)
def test_native_chat_bodies_are_chat_completions(
    family: str, request_more: Json, choice: Json, text: str, stop_reason: str | None
) -> None:
    request = {"messages": [{"role": "user", "content": "2 + 2?"}], **request_more}
    message = {"role": "assistant", "content": text, "tool_calls": None}
    response = {"id": family, "choices": [{"index": 0, "message": message, **choice}], "usage": {}}
    assert claimants(request, response) == ["chat_completions"]
    exchange = read(request, response)
    assert exchange.response.content == "4"
    assert stop_reason in {None, exchange.stop_reason}
    assert exchange.reasoning == ("hm" if "hm" in text else "")


def test_a_native_tool_call_without_a_type_is_read() -> None:
    request = {
        "messages": [{"role": "user", "content": "?"}],
        "tools": [{"function": {"name": "look"}}],
    }
    message = {"role": "assistant", "content": "", "tool_calls": [_LOOK_CALL]}
    response = {"choices": [{"index": 0, "message": message, "stop_reason": "tool_calls"}]}
    exchange = read(request, response)
    assert exchange.response.tool_calls[0].function.name == "look"
    assert exchange.stop_reason == "tool_use"
