-- One row per version and arm of people's first passes: how many, whose time is over by $as_of, who reached the goal.
create or replace temp table arms as
with firsts as (
    select
        compared.person_id,
        compared.version,
        compared.arm,
        compared.entered_at,
        compared.entered_at + to_seconds(windows.within) as over_at
    from compared
    inner join windows on windows.version = compared.version
    qualify row_number() over (partition by compared.person_id order by compared.entered_at, compared.enrollment_id) = 1
),

judged as (
    select
        firsts.*,
        exists (
            select 1
            from compared
            where compared.person_id = firsts.person_id
                and compared.goal_at > firsts.entered_at
                and compared.goal_at <= firsts.over_at
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
