-- One row per pass at a split: the arm that the person has, if this version has it too, else the one of their bucket.
with splitting as (
    select
        here.pass,
        here.place,
        walkers.campaign,
        walkers.person_id,
        steps.step,
        ('0x' || substr(
            md5(concat_ws(
                chr(31), concat_ws(':', 'split', walkers.campaign, steps.step), walkers.person_id::varchar, ''
            )), 1, 8
        ))::bigint % 10000 as bucket
    from here
    inner join walkers on walkers.rowid = here.pass
    inner join steps on steps.place = here.place
    where steps.kind = 'split'
),

had as (
    select
        splitting.pass,
        min(assignments.name) as name
    from splitting
    inner join assignments
        on assignments.campaign = splitting.campaign
            and assignments.person_id = splitting.person_id
            and assignments.step = splitting.step
    inner join arms on arms.place = splitting.place and arms.name = assignments.name
    group by splitting.pass
)

select
    splitting.pass,
    coalesce(had.name, arms.name) as way,
    had.name is null as does
from splitting
inner join arms
    on arms.place = splitting.place
        and splitting.bucket * arms.total >= arms.begins * 10000
        and splitting.bucket * arms.total < arms.ends * 10000
left join had on had.pass = splitting.pass
