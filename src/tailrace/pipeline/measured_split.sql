-- One row per version and arm of a split: treated people by their first time there. Who had reached the goal before is
-- left out of what is measured.
create or replace temp table split_arms as
with firsts as (
    select
        compared.person_id,
        moves.version,
        arms.name,
        moves.as_of as assigned_at,
        compared.entered_at,
        compared.entered_at + to_seconds(windows.within) as over_at
    from moves
    inner join compared on compared.enrollment_id = moves.enrollment_id
    inner join windows on windows.version = compared.version
    inner join {assignments} as arms on arms.person_id = compared.person_id and arms.step = $step
    where moves.campaign = $campaign
        and moves.from_step = $step
        and moves.why = 'arm'
        and compared.arm = 'treated'
    qualify row_number() over (partition by compared.person_id order by moves.as_of, compared.enrollment_id) = 1
),

judged as (
    select
        firsts.*,
        exists (
            select 1
            from compared
            where compared.person_id = firsts.person_id
                and compared.goal_at > firsts.entered_at
                and compared.goal_at <= firsts.assigned_at
        ) as is_left_out,
        exists (
            select 1
            from compared
            where compared.person_id = firsts.person_id
                and compared.goal_at > firsts.assigned_at
                and compared.goal_at <= firsts.over_at
        ) as is_converted
    from firsts
)

select
    version,
    name,
    count(*) as people,
    count(*) filter (where over_at <= $as_of and not is_left_out) as measured,
    count(*) filter (where over_at <= $as_of and not is_left_out and is_converted) as converted,
    count(*) filter (where is_left_out) as left_out
from judged
group by version, name
