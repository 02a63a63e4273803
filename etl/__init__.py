"""How events get in, from bytes to rows.

`readers` (bytes to text columns) -> `shape` (the one rulebook) -> `door` (rows, in one
transaction). Around them the ways that lead there: `files`, `http`, `brokers`, `edge`
and `simulation`, a plant that behaves.
"""
