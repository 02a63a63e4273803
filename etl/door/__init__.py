"""The one door: keys, duplicates, COPY, marks; events become rows nowhere else."""
