"""Graders to start from: each file is whole, and is deployed alone as a Lambda."""
