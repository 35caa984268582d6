"""Papers: what others need to know about a release, derived from its files. One file per paper.

A paper never holds content of records. The same release, settings and jobs give the same bytes.
"""
