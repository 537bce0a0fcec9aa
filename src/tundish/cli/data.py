"""``tundish data`` and ``tundish grade``: what goes in."""
