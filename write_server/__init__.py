"""The write server: takes commands over gRPC, decides them, stores what happened."""
