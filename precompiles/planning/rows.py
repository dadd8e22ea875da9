"""Plans of operators on last-axis rows."""
