"""What a method knows of the loss's curvature: an interface, Kronecker factors with their inverses, SOAP's eigenbases."""
