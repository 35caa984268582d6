"""The closed list of reasons why a record did not become a line, with their meanings."""

from enum import StrEnum

_UNREADABLE_STAGES = frozenset({"pull", "decode"})


class Reason(StrEnum):
    """A reason, `<stage>_<what>`; its `message` is the text that people read.

    Reasons of `pull` and `decode` mean that a record could not be read (it is quarantined); all
    others mean that it was read and dropped. Codes stand in `fates.parquet` of published releases:
    a code that is renamed leaves older releases with a reason that nobody can explain.
    """

    message: str

    def __new__(cls, value: str, message: str) -> "Reason":
        """Make a member from its value and its message."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member

    PULL_CORRUPT_GZIP = (
        "pull_corrupt_gzip",
        "the log object is damaged; none of its records were read",
    )
    PULL_OBJECT_TOO_LARGE = "pull_object_too_large", "the log object exceeds the size limit"
    PULL_TOO_MANY_REJECTS = (
        "pull_too_many_rejects",
        "the log object has too many unreadable lines; they are counted as one",
    )
    PULL_ARCHIVED = (
        "pull_archived",
        "the log object or a body is archived; restore it before it can be read",
    )
    PULL_DENIED = (
        "pull_denied",
        "access to the log object or a body was denied by its permissions or its encryption key",
    )
    PULL_EMPTY_OBJECT = "pull_empty_object", "the log object is empty (0 bytes)"
    PULL_BODY_MISSING = (
        "pull_body_missing",
        "a body is stored in an object of its own, which does not exist (yet)",
    )
    PULL_BODY_REFUSED = (
        "pull_body_refused",
        "a body is stored outside of the locations that may be read",
    )
    PULL_BODY_DAMAGED = (
        "pull_body_damaged",
        "a body is stored in an object of its own, which is damaged or too large",
    )
    DECODE_BAD_ENCODING = "decode_bad_encoding", "the line is not valid UTF-8"
    DECODE_BAD_JSON = "decode_bad_json", "the line is not valid JSON"
    DECODE_TORN_LINE = "decode_torn_line", "the line is cut off"
    DECODE_LINE_TOO_LONG = "decode_line_too_long", "the line exceeds the size limit"
    DECODE_TOO_DEEP = "decode_too_deep", "the JSON is nested too deeply"
    DECODE_TOO_MANY_KEYS = "decode_too_many_keys", "the JSON has too many keys and elements"
    DECODE_NOT_A_RECORD = "decode_not_a_record", "the line is not an invocation log record"
    DECODE_BAD_FIELD = "decode_bad_field", "a field of the record has an unexpected type"
    DECODE_UNKNOWN_SCHEMA = "decode_unknown_schema", "the schema version of the record is unknown"
    DECODE_UNKNOWN_SHAPE = "decode_unknown_shape", "no reader recognizes the shape of the bodies"
    SELECT_OUTSIDE_WINDOW = "select_outside_window", "its time is outside the recipe's window"
    SELECT_OPERATION = "select_operation", "the recipe does not select its operation"
    SELECT_MODEL = "select_model", "the recipe does not select its model"
    SELECT_METADATA = "select_metadata", "its request metadata does not match the recipe's filter"
    SELECT_REPEATED_REQUEST = (
        "select_repeated_request",
        "duplicate delivery of a record with the same id and bodies",
    )
    SELECT_CONFLICTING_REQUEST = (
        "select_conflicting_request",
        "an earlier record has the same id but different bodies",
    )
    RIGHTS_FORGOTTEN = "rights_forgotten", "it was forgotten with `sluice forget`"
    RIGHTS_NO_CONSENT = (
        "rights_no_consent",
        "its request metadata does not have the consent that the recipe asks for",
    )
    RIGHTS_OPTED_OUT = "rights_opted_out", "its request metadata opts out of training"
    RIGHTS_EXCLUDED = "rights_excluded", "an entry of the recipe's exclusions matches it"
    RIGHTS_REGION = "rights_region", "it was logged in a Region that the recipe does not allow"
    REVIEW_REJECTED = (
        "review_rejected",
        "a reviewer judged its answer wrong, and gave no correction that the template reads",
    )
    REVIEW_CONFLICT = "review_conflict", "reviewers contradict each other about its answer"

    CURATE_ERROR = "curate_error", "the call failed"
    CURATE_NO_BODY = "curate_no_body", "the bodies were not logged"
    CURATE_EMBEDDING = "curate_embedding", "call of an embedding model, which returns no text"
    CURATE_IMAGE_GENERATION = (
        "curate_image_generation",
        "call of an image or video model, which returns no text",
    )
    CURATE_INCOMPLETE_PROMPT = (
        "curate_incomplete_prompt",
        "something that shaped the response cannot be expressed as chat messages",
    )
    CURATE_RERANK = "curate_rerank", "call of a rerank model, which returns no text"
    CURATE_MEDIA = (
        "curate_media",
        "the prompt or the response contains images, documents, audio or video",
    )
    CURATE_GUARDRAIL = "curate_guardrail", "a guardrail or content filter intervened"
    CURATE_GUARDRAIL_INPUT = "curate_guardrail_input", "a guardrail blocked the prompt"
    CURATE_GUARDRAIL_OUTPUT = (
        "curate_guardrail_output",
        "a guardrail blocked the response or masked part of it",
    )
    CURATE_CUT_OFF = (
        "curate_cut_off",
        "the response was cut off, by its token limit or because the stream broke",
    )
    CURATE_MALFORMED = "curate_malformed", "the model's output is malformed"
    CURATE_UNFINISHED = (
        "curate_unfinished",
        "the response was paused, cancelled or failed, or its stop reason is unknown",
    )
    CURATE_EMPTY_PROMPT = "curate_empty_prompt", "there is no user message with text"
    CURATE_BLANK_TURN = "curate_blank_turn", "a message is empty"
    CURATE_DANGLING_TOOL_CALL = (
        "curate_dangling_tool_call",
        "its history has a tool call without a result, or one of a tool that is not offered",
    )
    CURATE_EMPTY_RESPONSE = "curate_empty_response", "the response is empty"
    CURATE_LAST_NOT_USER = "curate_last_not_user", "the last message is not from the user"
    CURATE_MULTI_TURN = (
        "curate_multi_turn",
        "the prompt has earlier turns, and the recipe's template takes no history",
    )
    CURATE_TOO_LONG = "curate_too_long", "the prompt is longer than max_prompt_tokens (estimated)"
    CURATE_TOO_SHORT = (
        "curate_too_short",
        "the prompt is shorter than min_prompt_tokens (estimated)",
    )
    CURATE_TRIVIAL_PROMPT = "curate_trivial_prompt", "the user asks for next to nothing"
    CURATE_NOISE = "curate_noise", "the prompt is mostly one repeated character or word"
    CURATE_PLACEHOLDER = (
        "curate_placeholder",
        "the prompt contains a placeholder that was never filled in",
    )
    CURATE_RESERVED_WORD = (
        "curate_reserved_word",
        "the prompt contains words that AWS's validators reserve",
    )
    CURATE_HIDDEN_CHARACTERS = (
        "curate_hidden_characters",
        "the prompt contains invisible characters",
    )
    CURATE_LANGUAGE = "curate_language", "the prompt is not in a language that the recipe selects"
    CURATE_REFUSAL = "curate_refusal", "the response is a refusal"
    CURATE_SECRET = "curate_secret", "it contains a key, a token or a password"
    CURATE_PERSONAL_DATA = "curate_personal_data", "it contains personal data"
    CURATE_EXACT_DUPLICATE = (
        "curate_exact_duplicate",
        "exact duplicate of another prompt, which was kept",
    )
    CURATE_BURST = "curate_burst", "too many copies of the same prompt in a short time"
    CURATE_EVALUATION = "curate_evaluation", "the prompt overlaps with an evaluation set"
    CURATE_TRAINED_BEFORE = (
        "curate_trained_before",
        "an earlier job of the same lineage was trained on this prompt",
    )
    CURATE_CONVERSATION_TURN = (
        "curate_conversation_turn",
        "another turn of the same conversation was kept",
    )
    CURATE_NEAR_DUPLICATE = (
        "curate_near_duplicate",
        "near duplicate of another prompt, which was kept",
    )
    CURATE_IDENTITY_CAP = "curate_identity_cap", "its caller has more prompts than max_per_identity"
    CURATE_SYSTEM_CAP = (
        "curate_system_cap",
        "its system prompt has more prompts than max_per_system",
    )

    ANSWER_MISSING = "answer_missing", "no source has a reference answer for it"
    ANSWER_CONFLICT = "answer_conflict", "its labels contradict each other"
    ANSWER_REJECTED = "answer_rejected", "its logged response was judged wrong by people"
    ANSWER_DISAGREEMENT = "answer_disagreement", "the responses to its prompt do not agree enough"
    RIGHTS_REFERENCE_MODEL = (
        "rights_reference_model",
        "its answer would be a response of a model that may not teach the base model",
    )
    ANSWER_UNFIT = "answer_unfit", "the template's grader cannot read its answer"
    SPLIT_JOINED_VALIDATION = (
        "split_joined_validation",
        "it resembles a line of validation, so it cannot stay in train",
    )
    SPLIT_OVER_MAX_LINES = "split_over_max_lines", "there are more prompts than max_lines"
    RENDER_UNFIT = "render_unfit", "its line breaks a rule of the template's profiles"
    GRADE_ZERO_VARIANCE = (
        "grade_zero_variance",
        "all logged responses to its prompt have the same score",
    )

    @property
    def stage(self) -> str:
        """The stage that gives this reason: the first word of its code."""
        return self.value.partition("_")[0]

    @property
    def fate(self) -> str:
        """`quarantined` if the record could not be read, else `dropped`."""
        return "quarantined" if self.stage in _UNREADABLE_STAGES else "dropped"
