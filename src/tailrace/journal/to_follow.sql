-- One row per batch that a destination accepted between $since and $until, to whose request it has had no last word.
select
    outcomes.seq,
    outcomes.item_id,
    outcomes.provider_id,
    batches.plan_id,
    batches.sync,
    batches.batch_no,
    batches.n_rows - (
        select count(*)
        from row_outcomes
        where row_outcomes.outcome_seq = outcomes.seq
    ) as n_accepted
from plans
inner join batches on batches.plan_id = plans.plan_id
inner join outcomes on outcomes.item_id = batches.batch_id
left join follow_ups on follow_ups.outcome_seq = outcomes.seq
where plans.applied_at >= $applied_since
    and outcomes.destination = $destination
    and outcomes.outcome = 'accepted'
    and outcomes.provider_id is not null
    and outcomes.recorded_at between $since and $until
    and follow_ups.outcome_seq is null
order by outcomes.seq
limit $limit
