"""Forgetting records: where they are in a lake, and taking them out."""
