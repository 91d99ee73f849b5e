"""Between architectures and Keras models: what a model is made of, its weights and optimiser state, and how it trains fast."""
