"""The shared vocabulary: what a lesson, a recording, a transcript and a clip are, and where they are kept.

Imports nothing of ours. Everything else imports this.
"""
