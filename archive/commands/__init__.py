"""The archive's commands, a file for each noun or verb of the command line."""
