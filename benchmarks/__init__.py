"""One module a question, run as `python -m benchmarks.NAME`; imported by nothing."""
