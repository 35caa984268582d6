"""Training jobs: the request, its cost, the approval it needs, and its result."""
