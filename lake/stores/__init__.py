"""Object stores: one interface over a local folder and an S3 prefix."""
