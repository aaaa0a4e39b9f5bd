-- One row per message that the branch has sent since the instant before: did the journal get it at that time too?
update intents
set is_real = exists (
    select 1
    from was_intents as was
    where was.intent_id = intents.intent_id
        and was.applied_at >= intents.applied_at
        and was.applied_at < $until
)
where is_real is null
