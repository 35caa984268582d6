"""What a build counts and measures: typed parts of public JSON files."""
