"""How the stages of a build are run: progress, log lines, parallel work, and Prefect tasks."""
