"""`bert-thor doctor`: what this installation is made of, and whether its kernels compute what they should."""
