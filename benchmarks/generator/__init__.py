"""A process that sends load, so that the one that measures does nothing else."""
