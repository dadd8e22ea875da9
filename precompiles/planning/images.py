"""Plans of convolutions and pools."""
