"""Bytes of log objects to landed rows."""
