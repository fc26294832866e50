"""Finding mail again."""
