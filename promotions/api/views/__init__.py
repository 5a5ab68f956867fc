"""One viewset a noun. Each shows only what its caller may see; what they may not see does not exist: 404."""
