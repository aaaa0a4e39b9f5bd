"""Planning: from facts to a plan, one row per person considered."""
