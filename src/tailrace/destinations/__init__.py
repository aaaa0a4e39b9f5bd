"""Where effects happen: one module per destination, and the only sockets in the house."""
