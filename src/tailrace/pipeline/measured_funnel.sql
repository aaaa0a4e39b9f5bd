-- One row per version and step that a pass of the campaign ever came to: how many came, rest there now, and went on.
with touched as (
    select version, to_step as step, enrollment_id, 'came' as what
    from moves
    where campaign = $campaign and to_step is not null
    union
    select version, from_step as step, enrollment_id, 'went' as what
    from moves
    where campaign = $campaign and from_step is not null and to_step is not null
    union
    select version, step, enrollment_id, 'rests' as what
    from passes
    where status = 'active'
)

select
    version,
    step,
    count(*) filter (where what = 'came') as arrived,
    count(*) filter (where what = 'rests') as resting,
    count(*) filter (where what = 'went') as went_on
from touched
group by version, step
