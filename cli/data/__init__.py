"""Commands that make data: from logs to a release, and back to the record."""
