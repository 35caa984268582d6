"""The training jobs of a lake: every request in its registry, with what came of it."""

from collections.abc import Iterator

import msgspec

from bedrock_sluice.lake.releases.registry import JobRequest, Use, read_uses
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.curate.trained_before import REGISTERED

REQUESTED = "Requested"  # beside Bedrock's own statuses: its end is not recorded yet


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One training job: its request, which release it is for, and what is recorded of its end.

    `release` is `<name>/<id>`, and `digest` the digest of the release by which the registry files
    the request. The ARNs are None until Bedrock has named them. `message` is what the service says
    of a failure.
    """

    lineage: str
    number: int
    digest: str
    release: str
    name: str
    region: str
    status: str
    job_arn: str | None
    model_arn: str | None
    message: str | None
    request: JobRequest


def read_jobs(lake: Store, digest: str | None = None) -> list[JobRecord]:
    """Read the jobs of all lineages, or those of the release with a `digest`, in a fixed order.

    Raises:
        IntegrityError: An object of the registry is not what was written.
    """
    uses = (
        (lineage, use)
        for lineage in lake.folders("registry/")
        for use in read_uses(lake, lineage)
        if digest is None or use.digest == digest
    )
    return [job for lineage, use in uses for job in _jobs_of(lineage, use)]


def _jobs_of(lineage: str, use: Use) -> Iterator[JobRecord]:
    registered_end = use.job_end() if use.state == REGISTERED else None
    numbers = [n for n in range(1, use.last_number + 1) if use.job_request(n) is not None]
    for number in numbers:
        request, start = use.job_request(number), use.job_start(number)
        assert request is not None
        end = use.claim_end(number)
        job_arn = start.job_arn if start else (end.job_arn if end else None)
        # An answer that was lost leaves no ARN: the job that completed is then the last one.
        is_last = number == numbers[-1]
        if (
            registered_end
            and end is None
            and job_arn in {registered_end.job_arn, None}
            and (job_arn is not None or is_last)
        ):
            end, job_arn = registered_end, registered_end.job_arn
        yield JobRecord(
            lineage=lineage,
            number=number,
            digest=use.digest,
            release=request.release,
            name=request.job,
            region=request.region,
            status=end.status if end else REQUESTED,
            job_arn=job_arn,
            model_arn=end.model_arn if end else None,
            message=end.message if end else None,
            request=request,
        )
