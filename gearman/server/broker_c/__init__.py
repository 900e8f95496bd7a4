"""The broker, compiled: each module of `broker` under this package's name.

Beside the C types there is one module of its own, `making`.
"""
