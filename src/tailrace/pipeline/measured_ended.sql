-- One row per version, step and why: how many passes of the campaign were over there.
select
    version,
    from_step as step,
    why,
    count(distinct enrollment_id) as n
from moves
where campaign = $campaign
    and from_step is not null
    and to_step is null
group by all
order by n desc, step, why
