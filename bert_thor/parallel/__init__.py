"""Several processes that train one model: who they are, what they exchange, whether they agree."""
