-- One row per pass that moved in this plan: where its last move took it.
select
    campaign,
    enrollment_id,
    arg_max(to_step, position) as to_step,
    max_by(why, position) as why,
    bool_or(to_step is null) as is_over
from moves
group by campaign, enrollment_id
