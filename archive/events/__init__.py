"""What became true, and when."""
