-- grain: one row per quarantined line that this load resolves
select quarantine_id, outcome from resolved
