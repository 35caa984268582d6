"""Profiles of the readers of RFT datasets, and checking a file against them."""
