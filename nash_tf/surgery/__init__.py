"""Morphisms on trained models: the birth of a child, the certificate of its function, and `morph` for users' models."""
