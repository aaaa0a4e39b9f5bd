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
        count(*) filter (event_type = 'like' and event_time > $today + interval 6 hours - interval 7 days) as n_likes_7d
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
    coalesce(friend_at > now - interval 7 days, false) as is_activated
from known
