"""What is measured: a promise each."""
