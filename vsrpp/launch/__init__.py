"""Starting and supervising the processes of a run: ranks, the panel and TensorBoard beside them."""
