"""The services that run a training job, one a file, behind one protocol: see `base`."""
