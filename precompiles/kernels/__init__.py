"""Integer kernels, each beside the reference twin that defines it."""
