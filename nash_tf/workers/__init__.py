"""Processes that train for a chief: their roles, their signs of life, and those of this machine. No TensorFlow."""
