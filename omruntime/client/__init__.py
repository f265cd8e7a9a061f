"""What users hold: Omega, runtimes, proxies, results."""
