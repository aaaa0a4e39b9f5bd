-- One row per pass at a webhook: whether it is called in this run, and else the way that its answer, or none, leads.
with calling as (
    select
        here.pass,
        walkers.arm,
        here.arrived_at + to_seconds(steps.seconds) as ends,
        here.why is not null
        or exists (
            select 1 from postponed
            where postponed.campaign = walkers.campaign
                and postponed.enrollment_id = walkers.enrollment_id
                and postponed.step = steps.step
        ) as is_called,
        exists (
            select 1 from responses
            where responses.enrollment_id = walkers.enrollment_id and responses.step = steps.step
        ) as is_answered
    from here
    inner join walkers on walkers.rowid = here.pass
    inner join steps on steps.place = here.place
    where steps.kind = 'webhook'
)

select
    pass,
    case
        when arm <> 'treated' then 'passed'
        when is_called then null
        when is_answered then 'answered'
        when ends <= $as_of::timestamp then 'unanswered'
    end as way,
    is_called as does
from calling
