"""What reviewers ask of a release: what changed, what happened to a record."""
