"""What the registry promises, one sentence a test."""
