"""The verbs of giblet in Python; `giblet` itself offers them, and the command line only parses and prints."""
