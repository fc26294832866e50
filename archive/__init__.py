"""What is true: data, rules, transactions. No network but behind its seams, no clock."""
