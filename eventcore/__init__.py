"""The machinery of event sourcing: streams, a log, an outbox, a command journal, projections.

Nothing in here knows what an order is. A bounded context brings its events, its decider and its
read models; a process brings the adapters. The ports (`event_store`, `command_journal`, `outbox`,
`checkpoints`, `write_store`, `read_store`) state their guarantees in their docstrings, and
`eventcore.sql` and `eventcore.memory` pass one conformance suite for each.
"""
