"""What may be trained on: consent, exclusions, Regions, and whose answers teach which model."""
