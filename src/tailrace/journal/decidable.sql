-- The one message: where it stands, and what a person last decided about it.
select
    states.state,
    states.expires_at,
    states.maybe_at,
    (
        select approvals.decision
        from approvals
        where approvals.intent_id = states.item_id
        order by approvals.seq desc
        limit 1
    ) as decision
from states
where states.item_id = $item_id
    and states.kind = 'message'
