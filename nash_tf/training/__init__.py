"""Training what the search asks for, whatever engine hands it out."""
