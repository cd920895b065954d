"""What a run found, for people: its figures by name, and one page that holds everything."""
