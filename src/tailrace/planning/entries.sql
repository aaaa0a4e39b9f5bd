-- One row per person and occurrence whom the trigger names: the enrollment it makes, or why it makes none (refused).
-- Of several occurrences that a person has at once the earliest counts, unless each of them is to enter.
with named as (
    select
        *,
        case when $repeat = 'never' then '' else occurrence end as kept_occurrence
    from triggers
    qualify row_number() over (
        partition by person_id, case when $repeat = 'each_occurrence' then occurrence end
        order by due_at, occurrence, tie
    ) = 1
),

mine as (
    select
        enrolled.enrollment_id,
        enrolled.person_id,
        enrolled.occurrence,
        enrolled.entered_at,
        enrolled.wake_at < {forever} and not exists (
            select 1 from passes
            where passes.campaign = $campaign and passes.enrollment_id = enrolled.enrollment_id and passes.over is not null
        ) as is_active
    from enrolled
    where enrolled.person_id in (select person_id from named)
),

known as (
    select
        person_id,
        bool_or(is_active) as is_active,
        max(entered_at) as entered_at
    from mine
    group by person_id
),

identified as (
    select
        named.*,
        md5(concat_ws(chr(31), $campaign, named.person_id::varchar, named.kept_occurrence)) as enrollment_id
    from named
),

judged as (
    select
        identified.*,
        case
            when (identified.person_id, identified.kept_occurrence) in (select person_id, occurrence from mine)
                then 'already_enrolled'
            when $repeat = 'never' and known.person_id is not null then 'already_enrolled'
            when $repeat in ('after_exit', 'every') and known.is_active and not $restarts then 'in_flight'
            when $repeat = 'every' and identified.due_at < known.entered_at + to_seconds($every) then 'too_soon'
        end as repeated,
        known.entered_at + to_seconds($every) as next_at
    from identified
    left join known on known.person_id = identified.person_id
),

reasoned as (
    select
        judged.*,
        coalesce(
            $status_refusal, judged.refused, judged.repeated, case when not {filter} then 'filtered' end
        ) as reason
    from judged
)

select
    enrollment_id,
    person_id,
    kept_occurrence as occurrence,
    due_at,
    event,
    object_id,
    case
        when $is_marketing and {everywhere} < $global_holdout_bp then 'global_holdout'
        when {here} < $holdout_bp then 'holdout'
        else 'treated'
    end as arm,
    reason as refused,
    case when reason = 'too_soon' then next_at end as next_at
from reasoned
