"""What a command line says: options and their explanations, names that are close or that people know from elsewhere, files of options."""
