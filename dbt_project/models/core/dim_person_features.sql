-- One row per person known at as_of: what they did, counted in UTC days that end with the day of as_of (so far).
-- What ordinary segments read. A window of 7 days is the day of as_of and the six before it. The prior weeks are the eight
-- before the last seven days, or as many of them as the person has used the product: their own history, to compare with.
-- Ordered by person: what segments select from it stands in that order too, and a plan reads it slice by slice.
with recent as (
    select
        person_id,
        {{ days_between('event_on', as_of_on()) }} as n_days_ago,
        n_usage_events,
        n_logins
    from {{ ref('int_person_days_as_of') }}
    where event_on > {{ plus_days(as_of_on(), -63) }}
),

counted as (
    select
        person_id,
        cast(sum(case when n_usage_events > 0 and n_days_ago < 7 then 1 else 0 end) as integer) as n_usage_days_7d,
        cast(sum(case when n_usage_events > 0 and n_days_ago < 14 then 1 else 0 end) as integer) as n_usage_days_14d,
        cast(sum(case when n_usage_events > 0 and n_days_ago < 30 then 1 else 0 end) as integer) as n_usage_days_30d,
        cast(sum(case when n_days_ago < 7 then n_usage_events else 0 end) as integer) as n_usage_events_7d,
        cast(sum(case when n_days_ago < 28 then n_usage_events else 0 end) as integer) as n_usage_events_28d,
        cast(sum(case when n_days_ago between 7 and 62 then n_usage_events else 0 end) as integer) as n_usage_events_prior_56d,
        cast(sum(case when n_days_ago < 7 then n_logins else 0 end) as integer) as n_logins_7d,
        cast(sum(case when n_days_ago < 30 then n_logins else 0 end) as integer) as n_logins_30d
    from recent
    group by person_id
),

known as (
    select
        totals.person_id,
        totals.last_event_at as last_seen_at,
        totals.first_usage_at,
        totals.last_usage_at,
        totals.first_value_at,
        {{ days_between('cast(totals.first_usage_at as date)', as_of_on()) }} as days_since_first_usage,
        {{ days_between('cast(totals.last_usage_at as date)', as_of_on()) }} as days_since_last_usage,
        cast(totals.n_events as integer) as n_events_ever,
        cast(totals.n_usage_events as integer) as n_usage_events_ever,
        totals.n_usage_days as n_usage_days_ever,
        coalesce(counted.n_usage_days_7d, 0) as n_usage_days_7d,
        coalesce(counted.n_usage_days_14d, 0) as n_usage_days_14d,
        coalesce(counted.n_usage_days_30d, 0) as n_usage_days_30d,
        coalesce(counted.n_usage_events_7d, 0) as n_usage_events_7d,
        coalesce(counted.n_usage_events_28d, 0) as n_usage_events_28d,
        coalesce(counted.n_usage_events_prior_56d, 0) as n_usage_events_prior_56d,
        coalesce(counted.n_logins_7d, 0) as n_logins_7d,
        coalesce(counted.n_logins_30d, 0) as n_logins_30d
    from {{ ref('int_person_totals_as_of') }} as totals
    left join counted on totals.person_id = counted.person_id
    where totals.least_user_id is not null
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
from known
order by person_id
