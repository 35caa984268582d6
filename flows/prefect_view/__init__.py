"""What Prefect shows of a run: its name, tags, state, log lines and artifacts, without content."""
