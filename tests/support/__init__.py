"""What several suites need: sample values, clocks, servers."""
