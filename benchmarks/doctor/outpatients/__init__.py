"""Programs as people write them, each in its own style and with its own loss."""
