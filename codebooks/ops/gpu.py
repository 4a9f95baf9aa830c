"""CuPy bodies of the primitives. None is written yet; this is where they go, and `codebooks.ops` is what finds them.

What each function promises stands in `codebooks.ops`; `cpu` is the twin to follow.
"""
