"""A recording's sound becomes a transcript: cues in Chinese, with their times."""
