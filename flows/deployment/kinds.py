"""The kinds of deployments, cheap to import."""

from typing import Literal

Kind = Literal["systemd", "dockerfile", "terraform", "cloudformation"]
