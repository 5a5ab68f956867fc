"""The plain Git adapter, against real Git servers on loopback."""
