"""A recording's sound becomes a transcript: cues in Chinese, with their times, and editions that a teacher can trust."""
