"""What the registry does for a caller, over the shipped fakes."""
