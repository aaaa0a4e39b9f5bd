-- The messages that the plan's merges made double wait no more.
update states
set state = 'cancelled'
where state in ('draft', 'pending')
    and item_id in (
        select outcomes.item_id
        from outcomes
        where outcomes.outcome = 'cancelled'
            and outcomes.code = 'merged'
            and outcomes.item_id in (select merged_messages.intent_id from merged_messages)
    )
