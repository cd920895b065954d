"""Files: readers that recognise a format by its content, and the writers. The only place that touches a disk."""
