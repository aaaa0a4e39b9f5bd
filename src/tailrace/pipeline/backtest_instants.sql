-- One row per instant: how many passes began, and the verdicts of the campaign.
with instants as (
    select unnest($instants::timestamp []) as as_of
),

began as (
    select
        noticed_at as as_of,
        count(*) as n
    from entered_passes
    group by noticed_at
),

judged as (
    select
        as_of,
        count(*) filter (where step = '(entry)') as not_entered,
        count(*) filter (where verdict = 'send') as sent,
        count(*) filter (where verdict = 'defer') as deferred,
        count(*) filter (where verdict = 'skip' and step not in ('(entry)', '(correction)')) as skipped
    from verdicts
    group by as_of
)

select
    instants.as_of,
    coalesce(began.n, 0) as entered,
    coalesce(judged.not_entered, 0) as not_entered,
    coalesce(judged.sent, 0) as sent,
    coalesce(judged.deferred, 0) as deferred,
    coalesce(judged.skipped, 0) as skipped
from instants
left join began on began.as_of = instants.as_of
left join judged on judged.as_of = instants.as_of
order by instants.as_of
