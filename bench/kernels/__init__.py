"""Every kernel and its peers over the shapes of BERT, with what the machine can do at most."""
