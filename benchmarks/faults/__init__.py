"""Four services behind one gateway, and one of them falls ill: what the others and the sick one's callers notice."""
