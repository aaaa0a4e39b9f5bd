-- One row per plan and state of what it still has open; `answered`: batches whose outcome no plan has folded yet.
-- Nobody settles a batch whose fate is not known: once it was folded, nothing of it is read.
select
    items.plan_id,
    states.state,
    count(*) as n
from states
inner join (
    select
        intent_id as item_id,
        plan_id
    from intents
    union all
    select
        batch_id as item_id,
        plan_id
    from batches
) as items
    on items.item_id = states.item_id
where states.state in ('draft', 'pending', 'claimed')
    or (states.state = 'unknown' and states.kind = 'message')
group by items.plan_id, states.state
union all
select
    batches.plan_id,
    'answered' as state,
    count(distinct batches.batch_id) as n
from outcomes
inner join batches on batches.batch_id = outcomes.item_id
where outcomes.seq > $after
group by batches.plan_id
order by 1, 2
