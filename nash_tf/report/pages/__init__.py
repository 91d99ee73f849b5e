"""Pages, tables and their sentences, and the writing of files."""
