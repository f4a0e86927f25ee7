"""`orderes demo`: what OrderES promises, seen to hold in a minute."""
