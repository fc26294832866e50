"""Mail of ours: from whom, composed, queued, and what became of it."""
