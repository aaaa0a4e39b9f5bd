-- One row per thing that a paid period says happened: the first is a start, a later one a renewal, and a last one that
-- nothing follows ends with a cancellation on its last day. Nothing is known ahead: a cancellation is told on the day itself.
with numbered as (
    select
        *,
        row_number() over (partition by account_id order by start_date) as nth,
        lead(start_date) over (partition by account_id order by start_date) as next_on
    from read_parquet($periods)
)

select
    account_id,
    case when nth = 1 then 'subscription_started' else 'subscription_renewed' end as event,
    start_date as happened_on,
    product,
    mrr,
    'monthly' as billing,
    end_date as renews_on,
    null::date as ends_on
from numbered

union all

select
    account_id,
    'subscription_cancelled' as event,
    end_date as happened_on,
    product,
    mrr,
    'monthly' as billing,
    null::date as renews_on,
    end_date as ends_on
from numbered
where next_on is null and end_date <= date '2025-01-01'
