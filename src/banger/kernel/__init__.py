"""Kernels: where they come from, and the store they live in."""
