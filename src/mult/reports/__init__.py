"""Reports: tables made from results.csv and published.csv, and from nothing else."""
