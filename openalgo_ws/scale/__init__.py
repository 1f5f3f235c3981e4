"""Past one process: who serves what, and how the parts of a server talk to each other."""
