"""Moving averages of gradients: Nesterov's momentum and the heavy ball."""
