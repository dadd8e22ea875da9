"""The kernels of the former engine, for operators that have no planner yet; goes away with them."""
