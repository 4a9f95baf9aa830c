"""Input validation. Layers below assume validated arrays."""
