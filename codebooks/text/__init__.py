"""Words to vectors, and searching among them."""
