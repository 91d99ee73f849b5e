"""What follows from the records: pure values, no words, no drawing."""
