"""Which confidence lets a cheap model's answer stay, and whether that is worth a router."""
