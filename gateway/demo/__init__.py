"""The demo: an embedded mail server and the small world that lives on it."""
