"""`huikan record`: the lightweight recorder. It needs an S3 key that may write below its room, and nothing else of Huikan."""
