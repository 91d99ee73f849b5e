"""One chart a module, from records and analyses."""
