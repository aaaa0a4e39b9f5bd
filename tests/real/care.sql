-- One row per person known at the run of the day $today, at $as_of (UTC), from the raw rows of the days before it: what is true of them by
-- the words of docs/programmes.md, with no SQL of the product. `clinic` are the generated calls, the rest the raw tables.
with now as (
    select $as_of::timestamp as moment
),

visits as (
    select patient_id as user_id, end_at as moment from encounters where end_at < $today
),

calls as (
    select userId as user_id, event, moment, properties.intake_id, properties.kind, properties.outcome from clinic
    where moment < $today and type = 'track'
),

intakes as (
    select
        user_id,
        intake_id,
        min(moment) as started_at,
        min(moment) filter (event = 'intake_completed') as completed_at,
        min(moment) filter (event = 'payment_completed') as paid_at,
        min(moment) filter (event = 'review_completed') as reviewed_at
    from calls
    where intake_id is not null
    group by all
),

-- When each stage of an intake ends, if it was ever reached.
stages as (
    select
        *,
        least(started_at + interval 30 days, completed_at, paid_at, reviewed_at, next_at) as started_until,
        least(completed_at + interval 30 days, paid_at, reviewed_at, next_at) as completed_until,
        if(paid_at is null, null, least(coalesce(reviewed_at, next_at, timestamp '9999-01-01'), next_at)) as paid_until
    from (select *, lead(started_at) over (partition by user_id order by started_at) as next_at from intakes)
),

fills as (
    select
        *,
        filled_at + to_days(case
            when floor(stated) between 1 and 3650 then floor(stated)::int
            when (filled_at::date - third_back::date) // 3 between 7 and 120 then ((filled_at::date - third_back::date) // 3)::int
            else 30
        end) as runs_out_at
    from (
        select
            patient_id as user_id,
            rxnorm_code,
            authored_at as filled_at,
            max(expected_supply_days) as stated,
            bool_or(as_needed) as is_as_needed,
            lag(authored_at, 3) over same as third_back,
            lead(authored_at) over same as next_at
        from medication_requests
        where authored_at < $today
        group by patient_id, rxnorm_code, authored_at
        window same as (partition by patient_id, rxnorm_code order by authored_at)
    )
),

care as (
    select user_id, moment as since, moment + interval 90 days as until from visits
    union all
    select user_id, moment, moment + interval 90 days from calls where event = 'review_completed' and outcome = 'approved'
    union all
    select user_id, filled_at, greatest(filled_at + interval 90 days, if(is_as_needed, null, runs_out_at)) from fills
),

begun as (
    select user_id, since as moment from care
    union all
    select user_id, moment from calls where event = 'intake_started'
),

ended as (
    select
        user_id,
        not exists (select 1 from begun where begun.user_id = said.user_id and begun.moment > last_at) as is_ended
    from (
        select user_id, max(moment) as last_at
        from (
            select patient_id as user_id, deceased_at as moment from patients where deceased_at < $today
            union all
            select user_id, moment from calls where event = 'care_ended'
        )
        group by user_id
    ) as said
),

cared as (
    select user_id, max(until) as until from care group by user_id
),

opened as (
    select
        user_id,
        max(greatest(started_until, completed_until, paid_until)) as until,
        bool_or(started_at <= moment - interval 1 hour and started_until > moment) filter (next_at is null) as is_begun,
        bool_or(completed_at <= moment - interval 1 hour and completed_until > moment) filter (next_at is null) as is_complete,
        bool_or(paid_until > moment) filter (next_at is null) as is_paid
    from stages, now
    group by user_id
),

due as (
    select user_id, bool_or(next_at is null and runs_out_at > moment and runs_out_at <= moment + interval 7 days) as is_due
    from fills, now
    where is_as_needed is not true
    group by user_id
),

renewed as (
    select
        user_id,
        max(moment) filter (event = 'payment_failed') as failed_at,
        max(moment) filter (event = 'payment_completed') as paid_at
    from calls
    where kind = 'renewal'
    group by user_id
),

people as (
    select patient_id as user_id, now.moment, coalesce(ended.is_ended, false) as is_ended
    from patients
    cross join now
    left join ended on ended.user_id = patients.patient_id
)

select
    people.user_id,
    people.is_ended,
    not people.is_ended and coalesce(cared.until > people.moment, false) as is_in_care,
    not people.is_ended and coalesce(opened.is_begun, false) as seg_intake_not_completed,
    not people.is_ended and coalesce(opened.is_complete, false) as seg_intake_not_paid,
    not people.is_ended and coalesce(opened.is_paid, false) as seg_awaiting_review,
    not people.is_ended and coalesce(due.is_due, false) as seg_refill_due_7d,
    not people.is_ended and coalesce(cared.until > people.moment, false)
        and coalesce(renewed.failed_at > people.moment - interval 14 days, false)
        and coalesce(renewed.paid_at < renewed.failed_at, true) as seg_renewal_failed_active,
    not people.is_ended
        and coalesce(greatest(cared.until, opened.until) <= people.moment - interval 30 days, false)
        and coalesce(greatest(cared.until, opened.until) > people.moment - interval 365 days, false)
        and cared.until is not null as seg_reactivation_eligible
from people
left join cared on cared.user_id = people.user_id
left join opened on opened.user_id = people.user_id
left join due on due.user_id = people.user_id
left join renewed on renewed.user_id = people.user_id
