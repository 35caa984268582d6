"""Templates: one contract per module, found by its `TEMPLATE`."""
