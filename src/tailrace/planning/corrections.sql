-- One row per pass of this campaign that `send now` was chosen for: who it is about now, in which arm, at which place, and
-- why it does not begin (refused).
with mine as (
    select
        chosen.*,
        coalesce(merges.into_person_id, chosen.person_id) as now_person_id
    from chosen
    left join merges on merges.person_id = chosen.person_id
    where chosen.campaign = $campaign
    qualify row_number() over (partition by chosen.enrollment_id order by chosen.choice desc) = 1
),

-- Who has several passes to make up for gets the newest, unless each stands for something else.
newest as (
    select
        *,
        row_number() over (
            partition by now_person_id, case when $is_each then occurrence end
            order by entered_at desc, due_at desc, enrollment_id
        ) = 1 as is_newest,
        case
            when $is_marketing and {everywhere} < $global_holdout_bp then 'global_holdout'
            when {here} < $holdout_bp then 'holdout'
            else 'treated'
        end as arm
    from mine
),

known as (
    select
        enrolled.enrollment_id,
        enrolled.person_id,
        enrolled.occurrence,
        enrolled.entered_at,
        enrolled.wake_at < {forever} and not exists (
            select 1 from passes
            where passes.campaign = $campaign
                and passes.enrollment_id = enrolled.enrollment_id
                and passes.over is not null
        ) as is_active
    from enrolled
    union all
    select
        enrollment_id,
        person_id,
        occurrence,
        entered_at,
        true as is_active
    from passes
    where campaign = $campaign and is_new
),

-- Found first: a left join hashes its right side, which would be everybody and everything.
people as (
    select person_id
    from wh.core.dim_people
    where person_id in (select now_person_id from mine)
),

events as (
    select
        source,
        event_id,
        properties
    from wh.core.fct_events
    where event_id in (select event_id from mine)
),

standing as (
    select
        newest.enrollment_id,
        bool_or(
            known.enrollment_id = newest.enrollment_id
            or known.occurrence = newest.occurrence
            or $repeat = 'never'
            or (not $is_each and known.entered_at + to_seconds($every) >= newest.entered_at)
        ) as has_been_there,
        bool_or(not $is_each and known.is_active) as is_there
    from newest
    inner join known
        on known.person_id = newest.now_person_id or known.enrollment_id = newest.enrollment_id
    group by newest.enrollment_id
)

select
    newest.enrollment_id,
    newest.now_person_id as person_id,
    newest.occurrence,
    newest.entered_at,
    newest.due_at,
    newest.object_id,
    newest.step,
    chosen_steps.position,
    events.properties as event,
    newest.arm,
    case
        when $status_refusal is not null then $status_refusal
        when people.person_id is null or (newest.event_id is not null and events.event_id is null) then 'not_known'
        when chosen_steps.step is null then 'step_gone'
        when standing.has_been_there or not newest.is_newest then 'already_enrolled'
        when standing.is_there then 'in_flight'
    end as refused
from newest
left join people on people.person_id = newest.now_person_id
left join events on events.source = newest.source and events.event_id = newest.event_id
left join chosen_steps on chosen_steps.step = newest.step
left join standing on standing.enrollment_id = newest.enrollment_id
