"""Where in Sluice an unexpected exception came from."""

from pathlib import Path

PACKAGE = "bedrock_sluice."


def find_place(error: BaseException) -> str:
    """The kind of an exception, and the last place in Sluice that it passed through."""
    root, where, trace = Path(__file__).parents[2], "?", error.__traceback__
    while trace:
        name = Path(trace.tb_frame.f_code.co_filename)
        is_ours = trace.tb_frame.f_globals.get("__name__", "").startswith(PACKAGE)
        if is_ours and name.is_relative_to(root):
            where = f"{name.relative_to(root).as_posix()}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {where}"
