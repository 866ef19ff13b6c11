"""One script per claim made in the README; each prints ratios against a baseline measured in the same run."""
