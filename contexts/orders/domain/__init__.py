"""What may happen to an order, and when. Pure: no I/O, no clock, no ids made inside."""
