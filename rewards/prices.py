"""What training and serving a model cost, as the recipe says. Prices change; none is built in."""

from dataclasses import dataclass, fields
from math import isfinite

from bedrock_sluice.transforms.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What things cost, in one currency, as the recipe says.

    Those of `current` and `tuned` are of serving the model that answers now, and the trained one.

    A job that is paid by the hour needs `generated_tokens_per_hour`, as seen with an earlier one.

    Raises:
        ConfigError: a number is below 0 or none at all, or no price is given.
    """

    currency: str = "USD"
    per_1k_input_tokens: float = 0.0
    per_1k_output_tokens: float = 0.0
    per_1k_grader_calls: float = 0.0
    per_1k_judge_input_tokens: float = 0.0
    per_1k_judge_output_tokens: float = 0.0
    per_hour: float = 0.0
    generated_tokens_per_hour: float = 0.0
    current_per_1k_input_tokens: float = 0.0
    current_per_1k_output_tokens: float = 0.0
    tuned_per_1k_input_tokens: float = 0.0
    tuned_per_1k_output_tokens: float = 0.0
    tuned_per_hour: float = 0.0

    def __post_init__(self) -> None:
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "currency"}
        for name, number in numbers.items():
            if not (isfinite(number) and number >= 0):
                raise ConfigError(f"[train.prices] {name}: write a number that is not below 0")
        if not any(number for name, number in numbers.items() if name.startswith("per_")):
            raise ConfigError("[train.prices] has no price; give one, or leave the table out")
        if self.per_hour and not self.generated_tokens_per_hour:
            raise ConfigError("[train.prices] per_hour needs generated_tokens_per_hour beside it")

    @property
    def has_serving(self) -> bool:
        """Whether it is known what serving costs, now and with the tuned model."""
        current = self.current_per_1k_input_tokens or self.current_per_1k_output_tokens
        tuned = self.tuned_per_1k_input_tokens or self.tuned_per_1k_output_tokens
        return bool(current and (tuned or self.tuned_per_hour))
