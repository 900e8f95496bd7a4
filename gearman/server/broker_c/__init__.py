"""The compiled broker: each module of `broker`, under the name of this package.

It has the C types of these modules, and its own version of one of them, `making`.
"""
