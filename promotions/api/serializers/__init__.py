"""The shapes of requests and answers. They hold no logic: what they show is a field or a property."""
