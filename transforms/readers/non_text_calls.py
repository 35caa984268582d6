"""Calls that no text came back from: embeddings, rerank, images and video, by the bodies' keys."""

from msgspec import Raw

from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.reasons import Reason

_RERANK = frozenset({"query", "documents"})
_EMBEDDING, _IMAGE = Reason.CURATE_EMBEDDING, Reason.CURATE_IMAGE_GENERATION

# Titan, Nova and Cohere embeddings; Titan Image, Nova Canvas and Stability AI.
_BY_RESPONSE: dict[str, Reason | None] = {
    "embedding": _EMBEDDING,
    "embeddings": _EMBEDDING,
    "embeddingsByType": _EMBEDDING,
    "inputTextTokenCount": _EMBEDDING,
    "images": _IMAGE,
    "artifacts": _IMAGE,
}
# The same, and Marengo, whose embeddings stand in `data`. The first key that is there decides.
_BY_REQUEST: dict[str, Reason | None] = {
    "singleEmbeddingParams": _EMBEDDING,
    "segmentedEmbeddingParams": _EMBEDDING,
    "embeddingConfig": _EMBEDDING,
    "embedding_types": _EMBEDDING,
    "inputImage": _EMBEDDING,
    "inputType": _EMBEDDING,
    "texts": _EMBEDDING,
    "taskType": _IMAGE,
    "imageGenerationConfig": _IMAGE,
    "maskImage": _IMAGE,
    "text_prompts": _IMAGE,
    "textGenerationConfig": None,  # of Titan Text: then `inputText` does not tell
    "inputText": _EMBEDDING,
}


def no_text_reason(request: Keys, response: Keys | list[Raw]) -> Reason | None:
    """Why bodies that no reader claims hold no text; None if their keys do not tell.

    The response is asked first: a `taskType` may ask for an image or for embeddings.
    """
    if isinstance(response, list):
        return None
    if "results" in response:  # of a rerank model, or Titan's texts
        return Reason.CURATE_RERANK if request.keys() >= _RERANK else None
    request_reasons = [reason for key, reason in _BY_REQUEST.items() if key in request]
    response_reasons = [reason for key, reason in _BY_RESPONSE.items() if key in response]
    return next(iter(response_reasons + request_reasons), None)
