"""The same operations as the pages, for programs: /api/, described by OpenAPI at /api/schema/."""
