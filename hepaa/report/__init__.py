"""Reports of a run: its figures by name, and one page that holds everything."""
