"""The section [rights] of a recipe: which records, and whose answers, may be trained on."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bedrock_sluice.flows.recipe.sections import Section
from bedrock_sluice.flows.recipe.values import Files, Moment, Text, Texts
from bedrock_sluice.transforms.rights.settings import SUBJECTS, Exclusion, RightsRules

Region = Annotated[str, Field(pattern=r"^[a-z]{2,}(-[a-z]+)+-\d{1,2}$")]


class ExcludeSection(Section):
    """Records that must not be used: those with all of its subjects, within its dates (UTC)."""

    tenant: Text | None = None  # a value of `tenant_key`
    caller: Text | None = None  # an identity ARN, with * and ? as wildcards
    contract: Text | None = None  # a value of `contract_key`
    since: Annotated[Moment | None, Field(alias="from")] = None
    until: Moment | None = None  # half open
    note: str = ""  # for people

    @model_validator(mode="after")
    def _is_an_exclusion(self) -> Self:
        if fault := self.exclusion("").fault():
            raise ValueError(fault)
        return self

    def exclusion(self, place: str) -> Exclusion:
        """As the core takes it."""
        return Exclusion(place, **self.model_dump(exclude={"note"}))


class RightsSection(Section):
    """What may be trained on. Without this section, no record is dropped for its rights."""

    consent_key: Text | None = None  # a metadata key
    consent_values: Texts = ()
    opt_out_key: Text | None = None  # a metadata key; any value opts out
    not_opted_out: Texts = ()  # but these
    missing: Literal["drop", "keep"] | None = None  # records without such a key
    tenant_key: Text | None = None
    contract_key: Text | None = None
    exclude: tuple[ExcludeSection, ...] = ()
    exclude_files: Files = ()  # CSV or TOML
    regions: tuple[Region, ...] = ()  # that records may come from, and be trained in
    other_regions: Literal["drop", "fail"] = "drop"
    base_model: Text | None = None  # default: the model of [train]
    # Models that answered, and the base models that they may teach.
    training_matrix: dict[Text, Texts] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if bool(self.consent_key) != bool(self.consent_values):
            raise ValueError("give consent_key and consent_values, or neither of them")
        if self.not_opted_out and not self.opt_out_key:
            raise ValueError("not_opted_out needs opt_out_key")
        if self.missing and not (self.consent_key or self.opt_out_key):
            raise ValueError("missing needs consent_key or opt_out_key")
        for subject in {*SUBJECTS} - {*self.subjects()}:
            if any(getattr(each, subject) for each in self.exclude):
                raise ValueError(f"exclude names a {subject}, but there is no {subject}_key")
        return self

    def subjects(self) -> list[str]:
        """Return the subjects that an exclusion may name: a metadata key says which they are."""
        keys = {"tenant": self.tenant_key, "contract": self.contract_key}
        return ["caller", *(subject for subject, key in keys.items() if key)]

    @property
    def fails_other_regions(self) -> bool:
        """Whether the gate fails because of lines from other Regions."""
        return bool(self.regions) and self.other_regions == "fail"

    def exclusions(self) -> list[Exclusion]:
        """Return the entries that stand in the recipe itself."""
        return [e.exclusion(f"exclude[{n}]") for n, e in enumerate(self.exclude, start=1)]

    def rules(self) -> RightsRules:
        """As the core takes them: without consent a record is out, without opting out it is in."""
        return RightsRules(
            consent_key=self.consent_key,
            consent_values=self.consent_values,
            needs_consent=self.missing != "keep",
            opt_out_key=self.opt_out_key,
            not_opted_out=self.not_opted_out,
            needs_opt_out=self.missing == "drop",
            tenant_key=self.tenant_key,
            contract_key=self.contract_key,
            regions=self.regions,
            drops_other_regions=self.other_regions == "drop",
        )
