"""What the sandbox starts with: one module a scenario, each with an idempotent `seed(world)`."""
