"""Integer models, their kernels, and the native accounts that run and register them."""
