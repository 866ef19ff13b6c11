"""How people and machines reach Huikan: HTTP, pages, the command line."""
