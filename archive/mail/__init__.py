"""Reading mail: pure functions, bytes in, values out."""
