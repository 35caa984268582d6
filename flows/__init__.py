"""What runs, in what order: the command line, the recipe, and one Prefect flow a file."""

import os

# Read by Prefect when it is imported, and by the server that it may start: nothing phones home.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
