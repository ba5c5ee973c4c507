"""
Other native forms of a database, for `--as`: one file each, with a class that has the four functions of a `Family`.

What these libraries return opens its connection at once and keeps it, so a value is read when the form is made and not again:
after a secret was replaced, `%connect NAME` opens it anew. Late binding is the engine's.
"""
