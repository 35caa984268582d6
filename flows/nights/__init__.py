"""Nightly runs: each recipe of a folder, the nights that it missed, and what follows a build."""
