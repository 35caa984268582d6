"""One reader per dialect, each a module of `chat_dialects` or `text_dialects`.

A new file in either folder is a new reader.

A reader is chosen by the shape of the bodies, never by the model id: five kinds of model id do not
tell the model family, and logged ids have been seen beside another family's body.
"""
