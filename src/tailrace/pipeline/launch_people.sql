-- One row: how many people would be considered, how many of them have an address, and how many of those may be written to.
with considered as (
    select distinct person_id from ({considered})
),
refused as (
    select person_id from core.dim_suppressions where channel in ('', $channel)
    union
    select person_id
    from core.dim_consents
    where $is_marketing and state = 'unsubscribed' and channel in ('', $channel) and topic in ('', $topic)
),
asked_for as (
    select person_id
    from core.dim_consents
    where state = 'subscribed' and channel in ('', $channel) and topic = $topic
)
select
    count(*) as n_people,
    count(*) filter ({has_address}) as n_addresses,
    count(*) filter (
        {has_address}
        and people.person_id not in (select person_id from refused)
        and (not $is_opt_in or people.person_id in (select person_id from asked_for))
    ) as n_reachable
from core.dim_people as people
inner join considered on considered.person_id = people.person_id
