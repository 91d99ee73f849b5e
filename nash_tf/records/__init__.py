"""What a run's files hold, as typed values."""
