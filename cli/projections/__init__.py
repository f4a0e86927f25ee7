"""`orderes projections`: the read models, for operators of the projector."""
