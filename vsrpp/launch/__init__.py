"""Starts and supervises the processes of a run: its ranks, and the panel and TensorBoard next to them."""
