-- One row if a batch of the plan's sync that removes is not settled.
select 1
from states
inner join batches on batches.batch_id = states.item_id
where states.state in ('pending', 'claimed')
    and states.kind = 'batch'
    and states.priority > 0
    and batches.plan_id = $plan_id
    and batches.sync = $sync
limit 1
