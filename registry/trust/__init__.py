"""Proofs that were made elsewhere, checked here against what the operator trusts. Never asks a network, and decides about nothing else."""
