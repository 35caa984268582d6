"""Sample logs for the demo."""
