"""What a recipe asks of the rights of records. Apart from the rules: a recipe needs no polars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

SUBJECTS = ("tenant", "caller", "contract")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Records with all of these subjects, called from `since` until before `until`, are excluded.

    `caller` is an ARN, in which `*` and `?` are wildcards. `place` is where the entry stands.
    """

    place: str
    tenant: str | None = None
    caller: str | None = None
    contract: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fault(self) -> str | None:
        """Return what is wrong with the entry, or None."""
        if not (self.tenant or self.caller or self.contract):
            return f"name at least one of {', '.join(SUBJECTS)}"
        if self.since and self.until and self.since >= self.until:
            return "from must be before until"
        return None


@dataclass(frozen=True, slots=True)
class RightsRules:
    """What a recipe asks of each record; a key that is None, or no Regions, ask nothing.

    A value of `consent_key` other than `consent_values` is not consent. One of `opt_out_key` other
    than `not_opted_out` opts out. Without the key, a record is dropped if `needs_consent` or
    `needs_opt_out` says so. Records of other Regions than `regions` are dropped if
    `drops_other_regions`.
    """

    consent_key: str | None = None
    consent_values: Sequence[str] = ()
    needs_consent: bool = True
    opt_out_key: str | None = None
    not_opted_out: Sequence[str] = ()
    needs_opt_out: bool = False
    tenant_key: str | None = None
    contract_key: str | None = None
    regions: Sequence[str] = ()
    drops_other_regions: bool = True
