"""Speed, measured beside the peers in one process: `python -m benchmarks.cpu`."""
