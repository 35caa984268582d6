"""Personal data and secrets in text: detection and masking."""
