"""L2 norms of the equal parts of a tensor."""
