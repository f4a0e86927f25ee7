"""The orders context: placing, changing, paying, shipping, delivering, cancelling, refunding."""
