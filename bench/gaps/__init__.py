"""How often ``tundish diagnose`` names a gap that is there, and one that is not."""
