"""What reviewers ask of the lines of a release."""
