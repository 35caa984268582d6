"""Training jobs: the request, its cost, and its result."""
