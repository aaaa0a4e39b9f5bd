-- One row per row of a sync batch that was answered: its batch's outcome, or its own where that differs.
-- answers: batch × outcome. In no order: to sort a million rows takes longer than all the rest.
select
    answers.seq,
    answers.plan_id,
    answers.sync,
    answers.batch_no,
    places.position::integer as position,
    coalesce(exceptions.outcome, answers.outcome) as outcome,
    coalesce(exceptions.code, answers.code) as code,
    answers.recorded_at as answered_at
from answers
cross join unnest(range(answers.n_rows)) as places (position)
left join exceptions
    on exceptions.outcome_seq = answers.seq
    and exceptions.position = places.position
where coalesce(exceptions.outcome, answers.outcome) in ('accepted', 'rejected', 'unknown')
