"""Every byte outside the process: source logs, landed parts, releases; on local disk or S3."""
