-- One row per person known at as_of: what they did, counted in UTC days that end with the day of as_of (so far).
-- What ordinary segments read. A window of 7 days is the day of as_of and the six before it. The prior weeks are the eight
-- before the last seven days, or as many of them as the person has used the product: their own history, to compare with.
-- Ordered by person: what segments select from it stands in that order too, and a plan reads it slice by slice.
with days as (
    select
        person_id,
        event_on,
        {{ days_between('event_on', as_of_on()) }} as n_days_ago,
        least_user_id,
        n_events,
        n_usage_events,
        n_logins,
        first_usage_at,
        last_usage_at,
        last_event_at,
        first_value_at
    from {{ ref('int_person_days_as_of') }}
),

counted as (
    select
        person_id,
        max(last_event_at) as last_seen_at,
        min(first_usage_at) as first_usage_at,
        max(last_usage_at) as last_usage_at,
        min(first_value_at) as first_value_at,
        max(case when n_usage_events > 0 then n_days_ago end) as days_since_first_usage,
        min(case when n_usage_events > 0 then n_days_ago end) as days_since_last_usage,
        cast(sum(n_events) as integer) as n_events_ever,
        cast(sum(n_usage_events) as integer) as n_usage_events_ever,
        cast(sum(case when n_usage_events > 0 then 1 else 0 end) as integer) as n_usage_days_ever,
        cast(sum(case when n_usage_events > 0 and n_days_ago < 7 then 1 else 0 end) as integer) as n_usage_days_7d,
        cast(sum(case when n_usage_events > 0 and n_days_ago < 14 then 1 else 0 end) as integer) as n_usage_days_14d,
        cast(sum(case when n_usage_events > 0 and n_days_ago < 30 then 1 else 0 end) as integer) as n_usage_days_30d,
        cast(sum(case when n_days_ago < 7 then n_usage_events else 0 end) as integer) as n_usage_events_7d,
        cast(sum(case when n_days_ago < 28 then n_usage_events else 0 end) as integer) as n_usage_events_28d,
        cast(sum(case when n_days_ago between 7 and 62 then n_usage_events else 0 end) as integer) as n_usage_events_prior_56d,
        cast(sum(case when n_days_ago < 7 then n_logins else 0 end) as integer) as n_logins_7d,
        cast(sum(case when n_days_ago < 30 then n_logins else 0 end) as integer) as n_logins_30d
    from days
    group by person_id
    having min(least_user_id) is not null
)

select
    person_id,
    last_seen_at,
    first_usage_at,
    last_usage_at,
    first_value_at,
    days_since_first_usage,
    days_since_last_usage,
    n_events_ever,
    n_usage_events_ever,
    n_usage_days_ever,
    n_usage_days_7d,
    n_usage_days_14d,
    n_usage_days_30d,
    n_usage_events_7d,
    n_usage_events_28d,
    n_usage_events_prior_56d,
    n_logins_7d,
    n_logins_30d,
    -- Usage events per week over the prior weeks; null below two full weeks of history: no baseline, no drop.
    case
        when days_since_first_usage >= 21
            then n_usage_events_prior_56d * 7.0 / least(56, days_since_first_usage - 6)
    end as n_usage_events_per_prior_week
from counted
order by person_id
