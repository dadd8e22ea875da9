"""Plans of operators that move elements."""
