"""Training jobs and their models, by numbers alone: is a run healthy, is a model better."""
