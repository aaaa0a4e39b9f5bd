-- One row per row of a batch and attempt in which its outcome was another than its batch's, the oldest first.
select
    row_outcomes.position,
    row_outcomes.outcome,
    row_outcomes.code
from outcomes
inner join row_outcomes on row_outcomes.outcome_seq = outcomes.seq
where outcomes.item_id = $item_id
order by outcomes.seq
