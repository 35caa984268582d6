"""Export of a grader: its zip for AWS Lambda, and the policy of its role."""

import io
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from bedrock_sluice.lake.files import replaced_file
from bedrock_sluice.rewards import graders
from bedrock_sluice.transforms.errors import ConfigError, OutsideError

SUFFIX = "_grader.py"
JUDGE = "judge"
MODULE = "lambda_function.py"
HANDLER = "lambda_function.lambda_handler"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold
READABLE_FILE = 0o100644 << 16  # Lambda runs as another user

_FUNCTION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MODEL = re.compile(r"(?:arn:aws[a-z-]*:bedrock:[a-z0-9-]*:[0-9]*:[a-z-]+/)?[A-Za-z0-9.:_-]{1,200}")
_PROFILE = re.compile(r"(?:global|us|us-gov|eu|apac|jp|au|ca|sa)\.(?P<model>.+)")


class ExportedFiles(NamedTuple):
    """The two files, and the name of the function's handler."""

    archive: Path
    policy: Path
    handler: str


def grader_names() -> list[str]:
    """Return the names of all graders, sorted."""
    names = [each.name for each in files(graders).iterdir()]
    return sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))


def export_grader(
    name: str, out: Path, *, function: str | None = None, model: str | None = None
) -> ExportedFiles:
    """Write `<name>.zip` and `policy.json` into the folder `out`; the same bytes each time.

    The policy allows the function (default name: `sluice-<name>-grader`) to write its own log and
    nothing else; that of `judge` also to call `model`, an id or an ARN.

    Raises:
        ConfigError: no such grader, a name that AWS would reject, or `judge` without a model.
        OutsideError: the folder can't be written.
    """
    if name not in grader_names():
        raise ConfigError(f"unknown grader {name!r}; known: {', '.join(grader_names())}")
    if name == JUDGE and model is None:
        raise ConfigError("grader judge needs the model that judges; add --model ID")
    if name != JUDGE and model is not None:
        raise ConfigError(f"grader {name} calls no model; remove --model")
    source = (files(graders) / f"{name}{SUFFIX}").read_bytes()
    policy = json.dumps(_policy(function or f"sluice-{name}-grader", model), indent=2) + "\n"
    paths = ExportedFiles(out / f"{name}.zip", out / "policy.json", HANDLER)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutsideError(f"{error.filename or out}: {error.strerror}") from None
    for path, content in ((paths.policy, policy.encode()), (paths.archive, _zip(source))):
        with replaced_file(path) as file:
            file.write(content)
    return paths


def _zip(source: bytes) -> bytes:
    """Return a zip whose bytes depend on the source alone: no clock, no user, no machine."""
    entry = ZipInfo(MODULE, EARLIEST)
    entry.external_attr, entry.compress_type, entry.create_system = READABLE_FILE, ZIP_DEFLATED, 3
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr(entry, source)
    return content.getvalue()


def _policy(function: str, model: str | None) -> dict[str, Any]:
    if not _FUNCTION.fullmatch(function):
        raise ConfigError(f"function {function!r} must have 1 to 64 letters, digits, - and _")
    group = f"arn:aws:logs:*:*:log-group:/aws/lambda/{function}"
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": "logs:CreateLogGroup", "Resource": group},
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{group}:*",
        },
    ]
    if model:
        invoke = {
            "Effect": "Allow",
            "Action": "bedrock:InvokeModel",
            "Resource": _model_arns(model),
        }
        statements.append(invoke)
    return {"Version": "2012-10-17", "Statement": statements}


def _model_arns(model: str) -> list[str]:
    """Return the ARNs to allow: an inference profile calls its model in any Region."""
    if not _MODEL.fullmatch(model):
        raise ConfigError(f"model {model!r} is neither an id nor an ARN")
    profile = _PROFILE.fullmatch(model.rpartition("/")[2])
    own = [model] if model.startswith("arn:") else []
    if not profile:
        return own or [f"arn:aws:bedrock:*::foundation-model/{model}"]
    return [
        *(own or [f"arn:aws:bedrock:*:*:inference-profile/{model}"]),
        f"arn:aws:bedrock:*::foundation-model/{profile['model']}",
    ]
