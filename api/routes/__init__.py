"""Routes: parse, one call, answer. What may be asked and by whom stands in the signatures."""
