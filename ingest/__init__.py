"""A recording arrives; what happens to it next, durably."""
