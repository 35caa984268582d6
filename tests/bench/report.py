"""How long the report of a release takes beyond imports, and how large it is.

    python tests/bench/report.py LAKE/releases/NAME/ID

Prints seconds of processor time and of the clock, bytes and lines as JSON. A release that has one
before it is compared with that. Charts are rendered in this process, so that their time counts.
"""

import json
import sys
import time

from bedrock_sluice.expectations.pages.charts import prepare_charts
from bedrock_sluice.flows.review.report import report_of
from bedrock_sluice.lake.releases.release import open_release


def main(uri: str) -> None:
    """Measure the page of one release."""
    prepare_charts()
    release = open_release(uri)
    release.verify()
    starts = time.perf_counter(), time.process_time()
    page = report_of(release)
    counts = release.manifest.counts
    result = {
        "lines": counts.train + counts.validation,
        "seconds": round(time.perf_counter() - starts[0], 2),
        "cpu_seconds": round(time.process_time() - starts[1], 2),
        "bytes": len(page.encode()),
    }
    sys.stdout.write(f"{json.dumps(result)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
