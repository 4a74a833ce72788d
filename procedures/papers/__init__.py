"""Published results as experiments of `labonn reproduce`, a module each."""
