"""Neural architecture search by network morphisms."""
