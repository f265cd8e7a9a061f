"""Speed, side by side with what people would use otherwise, in one run: ``python -m benchmarks [--quick]``."""
