"""What is learnt on what: the first network of a kind of data, its training, and the final training. One kind, one module."""
