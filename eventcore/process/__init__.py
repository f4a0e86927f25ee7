"""What every process has: settings, logs, a metrics port, and a life from start to drain."""
