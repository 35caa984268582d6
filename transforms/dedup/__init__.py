"""Similarity of texts: sketches, near duplicates, and overlap between sets."""
