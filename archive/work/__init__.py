"""Work on mail: tickets."""
