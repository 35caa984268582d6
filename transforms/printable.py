"""Text from outside, made safe to print: keys and ids are as hostile as the logs they come from."""


def printable(text: str) -> str:
    """Replace what does not print (control, bidi …) by `\ufffd`; line breaks stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
