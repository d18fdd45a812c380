"""Benchmarks: what the service costs, beside a baseline measured in the same run."""
