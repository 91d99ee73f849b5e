"""What the program hears and says: flags, signals, progress, and output that outlives its readers."""
