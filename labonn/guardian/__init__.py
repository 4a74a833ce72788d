"""The guardian: a process of its own that holds a bench's links, and makes it safe when whoever uses it is gone."""
