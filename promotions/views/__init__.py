"""Pages. A view reads and presents, or makes one call of an operation; it decides nothing itself."""
