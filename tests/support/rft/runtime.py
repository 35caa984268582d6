"""Bedrock's runtime: `Converse` with a foundation model, or with a deployment that is active."""

from support.rft.state import ControlPlane, Fault, Json
from support.rft.validation import validate


def converse(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """The answer of `plane.answer` to the last text of the user."""
    validate("bedrock-runtime", "Converse", body)
    model = body["modelId"]
    if ":custom-model-deployment/" in model:
        status = {each["arn"]: each["status"] for each in plane.deployments}.get(model)
        if status is None:
            raise Fault("ResourceNotFoundException", 404)
        if status != "Active":
            raise Fault("ModelNotReadyException", 429)
    question = body["messages"][-1]["content"][-1]["text"]
    text = plane.answer(model, question)
    tokens = {"inputTokens": len(question), "outputTokens": len(text)}
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": "end_turn",
        "usage": tokens | {"totalTokens": sum(tokens.values())},
        "metrics": {"latencyMs": 1},
    }, 200
