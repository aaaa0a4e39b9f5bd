-- One outcome per message that waits and says what another one of merged_messages says to the same person: that one went,
-- is on its way or of unknown fate, or goes instead: what was approved before what waits for approval, then who came first.
insert into outcomes (item_id, kind, attempt, outcome, code, destination, recorded_at)
select distinct
    states.item_id,
    states.kind,
    states.attempt,
    'cancelled',
    'merged',
    cast(null as text),
    cast($now as bigint)
from merged_messages
inner join states on states.item_id = merged_messages.intent_id
inner join states as others on others.item_id = merged_messages.other_intent_id
where states.state in ('draft', 'pending')
    and states.maybe_at is null
    and (
        others.state in ('claimed', 'unknown')
        or (others.state = 'accepted' and merged_messages.is_once = 1)
        or (others.state in ('draft', 'pending') and others.maybe_at is not null)
        or (others.state = 'pending' and states.state = 'draft')
        or (others.state = states.state and others.place < states.place)
    )
