"""Tell people: find what time makes worth telling, send what is due, keep what each person asked for."""
