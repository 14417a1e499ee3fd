"""Makes docs/benchmarks.md of what the benchmarks saved."""
