-- One row per version and arm of people's first passes: how many, whose time is over by $as_of, who reached the goal.
create or replace temp table arms as
with firsts as (
    select
        passes.person_id,
        passes.version,
        passes.arm,
        passes.entered_at,
        passes.entered_at + to_seconds(windows.within) as over_at
    from passes
    inner join windows on windows.version = passes.version
    qualify row_number() over (partition by passes.person_id order by passes.entered_at, passes.enrollment_id) = 1
),

judged as (
    select
        firsts.*,
        exists (
            select 1
            from passes
            where passes.person_id = firsts.person_id
                and passes.goal_at > firsts.entered_at
                and passes.goal_at <= firsts.over_at
        ) as is_converted
    from firsts
)

select
    version,
    arm,
    count(*) as people,
    count(*) filter (where over_at <= $as_of) as measured,
    count(*) filter (where over_at <= $as_of and is_converted) as converted
from judged
group by version, arm
