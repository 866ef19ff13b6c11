"""A recording becomes renditions that a village phone can play."""
