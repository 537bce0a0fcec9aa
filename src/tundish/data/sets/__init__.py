"""Sets of the catalogue as typed tables, pictures, texts and instances."""
