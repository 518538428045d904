"""What every implementation of an interface promises, run against each of them."""
