"""How much a request costs in Tidegate, beside its peers doing the same work.

`make bench` runs every scenario; `python -m benchmarks --help` says the rest. README.md here has the method.
"""
