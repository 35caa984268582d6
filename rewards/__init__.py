"""Reward functions: the templates, graders and conformance rules of RFT datasets."""
