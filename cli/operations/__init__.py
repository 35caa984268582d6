"""Commands for those who run Sluice: check a recipe, check its places, serve the flows."""
