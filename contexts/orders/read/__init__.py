"""The read half of the orders context: projections, and the queries that they answer."""
