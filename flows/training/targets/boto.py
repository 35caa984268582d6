"""What targets share whose API is one of boto3's: their clients, and what their refusals mean."""

from typing import Any

from bedrock_sluice.flows.training.refusals import made_nothing
from bedrock_sluice.flows.training.targets.base import Place
from bedrock_sluice.lake.aws import make_client


class BotoTarget:
    """A target that is a service of boto3."""

    service: str

    def connect(self, place: Place) -> Any:
        """See `Target.connect`."""
        return make_client(self.service, place.region)

    def place(self, client: Any) -> Place:
        """See `Target.place`."""
        return Place(client.meta.region_name)

    def made_nothing(self, error: BaseException | None) -> bool:
        """See `Target.made_nothing`."""
        return made_nothing(error)
