"""A child finds the moment: words, sounds, passages and the index they live in."""
