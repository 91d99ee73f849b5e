"""What follows from the records: pure values, no drawing, no files."""
