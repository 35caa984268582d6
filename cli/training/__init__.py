"""Commands from the approval of a release to the end of its training job."""
