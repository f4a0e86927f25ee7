"""What OrderES carries and keeps, measured with real processes. Run from the checkout."""
