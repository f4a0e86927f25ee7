"""The client for services in Python: typed calls, deadlines, retries, reading one's own writes."""
