"""The command line, the composition root and everything an author runs."""
