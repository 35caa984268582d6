"""The rights of records: in a build, and again before a training job starts."""
