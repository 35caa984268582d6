"""Why a record did not become a line: one closed list, with what each reason means."""

from enum import StrEnum

_UNREADABLE_STAGES = frozenset({"pull", "decode"})


class Reason(StrEnum):
    """A reason, `<stage>_<what>`, and in `says` the sentence for the person who asks.

    Reasons of `pull` and `decode` mean that a record could not be read (it is quarantined); all
    others mean that it was read and left out (it is dropped).
    """

    message: str

    def __new__(cls, value: str, message: str) -> "Reason":
        """Make a member from its value and its sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member

    PULL_CORRUPT_GZIP = "pull_corrupt_gzip", "the log object is damaged; nothing of it was taken"
    PULL_OBJECT_TOO_LARGE = "pull_object_too_large", "the log object is over the size limit"
    PULL_TOO_MANY_REJECTS = (
        "pull_too_many_rejects",
        "so many lines of the log object could not be read that they count as one",
    )
    PULL_ARCHIVED = (
        "pull_archived",
        "the log object (or a body) is archived, and can't be read before a restore",
    )
    PULL_DENIED = (
        "pull_denied",
        "the log object (or a body) may not be read, by its permissions or its key",
    )
    PULL_EMPTY_OBJECT = "pull_empty_object", "the log object has no bytes"
    PULL_BODY_MISSING = "pull_body_missing", "a body is stored apart, and is not there (yet)"
    PULL_BODY_REFUSED = "pull_body_refused", "a body is stored apart, outside of what may be read"
    PULL_BODY_DAMAGED = "pull_body_damaged", "a body is stored apart, and is damaged or too large"

    DECODE_BAD_ENCODING = "decode_bad_encoding", "the line holds what is not UTF-8"
    DECODE_BAD_JSON = "decode_bad_json", "the line is no JSON"
    DECODE_TORN_LINE = "decode_torn_line", "the line breaks off"
    DECODE_LINE_TOO_LONG = "decode_line_too_long", "the line is over the size limit"
    DECODE_TOO_DEEP = "decode_too_deep", "the JSON is nested too deep"
    DECODE_TOO_MANY_KEYS = "decode_too_many_keys", "the JSON has too many keys and elements"
    DECODE_NOT_A_RECORD = "decode_not_a_record", "the line is no invocation log record"
    DECODE_BAD_FIELD = "decode_bad_field", "a field of the record has another type than it should"
    DECODE_UNKNOWN_SCHEMA = "decode_unknown_schema", "the record is of a schema version not known"
    DECODE_UNKNOWN_SHAPE = "decode_unknown_shape", "no reader knows the shape of the bodies"

    SELECT_OUTSIDE_WINDOW = "select_outside_window", "its time is outside the recipe's window"
    SELECT_OPERATION = "select_operation", "the recipe does not ask for its operation"
    SELECT_MODEL = "select_model", "the recipe does not ask for its model"
    SELECT_METADATA = "select_metadata", "its request metadata do not match the recipe's filter"
    SELECT_REPEATED_REQUEST = "select_repeated_request", "the same record was delivered before"
    SELECT_CONFLICTING_REQUEST = (
        "select_conflicting_request",
        "a record of the same id, but with other bodies, was delivered before",
    )

    CURATE_ERROR = "curate_error", "the call failed"
    CURATE_NO_BODY = "curate_no_body", "the bodies were not logged"
    CURATE_EMBEDDING = (
        "curate_embedding",
        "it is a call of an embedding model: no text came back",
    )
    CURATE_IMAGE_GENERATION = (
        "curate_image_generation",
        "it made images or video: no text came back",
    )
    CURATE_INCOMPLETE_PROMPT = (
        "curate_incomplete_prompt",
        "something that shaped the response can't be carried in chat messages",
    )
    CURATE_RERANK = "curate_rerank", "it is a call of a rerank model: no text came back"
    CURATE_MEDIA = "curate_media", "it holds images, documents, audio or video"
    CURATE_GUARDRAIL = "curate_guardrail", "a guardrail or content filter stepped in"
    CURATE_GUARDRAIL_INPUT = "curate_guardrail_input", "a guardrail blocked the prompt"
    CURATE_GUARDRAIL_OUTPUT = (
        "curate_guardrail_output",
        "a guardrail blocked the response, or masked words in it",
    )
    CURATE_CUT_OFF = "curate_cut_off", "the response was cut off: at its limit, or with its stream"
    CURATE_MALFORMED = "curate_malformed", "the model's output is malformed"
    CURATE_UNFINISHED = (
        "curate_unfinished",
        "the response was paused, cancelled or failed, or its stop reason is not known",
    )
    CURATE_EMPTY_PROMPT = "curate_empty_prompt", "the user said nothing"
    CURATE_BLANK_TURN = "curate_blank_turn", "somebody's turn in it is blank"
    CURATE_DANGLING_TOOL_CALL = (
        "curate_dangling_tool_call",
        "its history has a tool call without its result, or of a tool that is not offered",
    )
    CURATE_EMPTY_RESPONSE = "curate_empty_response", "the response is empty"
    CURATE_LAST_NOT_USER = "curate_last_not_user", "the last message is not the user's"
    CURATE_MULTI_TURN = "curate_multi_turn", "it has earlier turns, and the recipe takes no history"
    CURATE_TOO_LONG = "curate_too_long", "the prompt is over max_prompt_tokens (estimated)"
    CURATE_TOO_SHORT = "curate_too_short", "the prompt is under min_prompt_tokens (estimated)"
    CURATE_TRIVIAL_PROMPT = "curate_trivial_prompt", "the user asks for next to nothing"
    CURATE_NOISE = "curate_noise", "the prompt is mostly one character or word, repeated"
    CURATE_PLACEHOLDER = (
        "curate_placeholder",
        "the prompt holds a placeholder that was never filled in",
    )
    CURATE_RESERVED_WORD = "curate_reserved_word", "the prompt holds words that validators reserve"
    CURATE_HIDDEN_CHARACTERS = (
        "curate_hidden_characters",
        "the prompt holds characters that no reader sees",
    )
    CURATE_LANGUAGE = "curate_language", "the prompt is not in a language that the recipe takes"
    CURATE_REFUSAL = "curate_refusal", "the response refuses"
    CURATE_SECRET = "curate_secret", "it holds a key, a token or a password"
    CURATE_PERSONAL_DATA = "curate_personal_data", "it holds personal data"

    CURATE_EXACT_DUPLICATE = "curate_exact_duplicate", "its prompt is the same as the survivor's"
    CURATE_BURST = "curate_burst", "too many of the same prompt came in a short time"
    CURATE_EVALUATION = "curate_evaluation", "it overlaps with an evaluation set"
    CURATE_TRAINED_BEFORE = (
        "curate_trained_before",
        "an earlier job of the same lineage was trained on its prompt",
    )
    CURATE_CONVERSATION_TURN = (
        "curate_conversation_turn",
        "another turn stands for its conversation",
    )
    CURATE_NEAR_DUPLICATE = "curate_near_duplicate", "its prompt is nearly the survivor's"
    CURATE_IDENTITY_CAP = "curate_identity_cap", "its caller has more prompts than max_per_identity"
    CURATE_SYSTEM_CAP = (
        "curate_system_cap",
        "its system prompt has more prompts than max_per_system",
    )

    ANSWER_MISSING = "answer_missing", "no source has a reference answer for it"
    ANSWER_CONFLICT = "answer_conflict", "it has labels that contradict each other"
    ANSWER_REJECTED = "answer_rejected", "people judged its logged response wrong"
    ANSWER_DISAGREEMENT = "answer_disagreement", "the responses to its prompt do not agree enough"
    ANSWER_UNFIT = "answer_unfit", "its answer is not one that the template's grader can read"

    SPLIT_JOINED_VALIDATION = (
        "split_joined_validation",
        "it belongs with lines that validation holds already",
    )
    SPLIT_OVER_MAX_LINES = "split_over_max_lines", "there were more prompts than max_lines"

    RENDER_UNFIT = "render_unfit", "its line breaks a rule of the template's profiles"

    GRADE_ZERO_VARIANCE = (
        "grade_zero_variance",
        "all logged responses to its prompt have the same score",
    )

    @property
    def stage(self) -> str:
        """The stage that gives this reason."""
        return self.value.partition("_")[0]

    @property
    def fate(self) -> str:
        """`quarantined` when the record could not be read, else `dropped`."""
        return "quarantined" if self.stage in _UNREADABLE_STAGES else "dropped"
