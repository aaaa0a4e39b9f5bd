-- One row per account known at the run of day $today (06:00 UTC), from the raw rows of the days before it: what is true
-- of it by the words of docs/segments.md, with no SQL of the product.
with told as (
    select account_id, max_by(event, happened_on) as last_event, max_by(renews_on, happened_on) as renews_on
    from happenings
    where happened_on < $today
    group by account_id
),

used as (
    select
        account_id,
        max(event_time) filter (event_type <> 'adview') as last_at,
        min(event_time) filter (event_type = 'newfriend') as friend_at,
        count(*) filter (event_type = 'like' and event_time > $today + interval 6 hours - interval 7 days) as n_likes_7d,
        $today - min(event_time::date) filter (event_type <> 'adview') as n_days_of_use,
        count(*) filter (event_type <> 'adview' and event_time >= $today - interval 6 days) as n_7d,
        count(*) filter (
            event_type <> 'adview' and event_time >= $today - interval 62 days and event_time < $today - interval 6 days
        ) as n_prior_56d,
        count(*) filter (event_type <> 'adview' and event_time >= $today - interval 27 days) as n_28d,
        count(distinct event_time::date) filter (
            event_type <> 'adview' and event_time >= $today - interval 29 days
        ) as n_days_30d
    from events
    where event_time < $today
    group by account_id
),

known as (
    select
        accounts.account_id,
        told.last_event = 'subscription_cancelled' as is_cancelled,
        told.last_event,
        told.renews_on,
        greatest(accounts.joined_on, used.last_at) as last_at,
        used.friend_at,
        coalesce(used.n_likes_7d, 0) as n_likes_7d,
        used.n_days_of_use,
        used.n_7d,
        used.n_prior_56d,
        used.n_28d,
        used.n_days_30d,
        $today + interval 6 hours as now
    from accounts
    inner join told on told.account_id = accounts.account_id
    left join used on used.account_id = accounts.account_id
    where accounts.joined_on < $today
)

select
    account_id,
    is_cancelled,
    case
        when is_cancelled then 'churned'
        when now >= last_at + interval 30 days then 'dormant'
        when now >= last_at + interval 14 days then 'at_risk'
        when friend_at is null then 'new'
        when now < friend_at + interval 7 days then 'activated'
        else 'active'
    end as state,
    not is_cancelled and renews_on > now and renews_on <= now + interval 7 days as is_renewal_due,
    n_likes_7d >= 200 as likes_much,
    coalesce(friend_at > now - interval 7 days, false) as is_activated,
    -- Their usual week: up to eight weeks before the last seven days, as many as there are, two at least.
    coalesce(
        not is_cancelled
        and n_days_of_use >= 21
        and n_prior_56d * 7.0 / least(56, n_days_of_use - 6) >= 5
        and n_7d < 0.4 * n_prior_56d * 7.0 / least(56, n_days_of_use - 6),
        false
    ) as is_usage_dropped,
    coalesce(n_days_30d >= 28 and n_28d >= 600, false) as is_power_user,
    n_days_30d
from known
