"""What talks to the outside, on a clock: fetch, send, notify."""
