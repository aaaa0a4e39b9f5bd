-- One row per source and anonymous id whose events belong to nobody yet: of each source the hundred with the most. Whatever
-- as_of is. What has no id at all is one row, with a null anonymous_id.
{{ config(tags=['by_load']) }}

with orphans as (
    select
        source,
        anonymous_id,
        count(*) as n_events,
        sum(case when type = 'track' then 1 else 0 end) as n_tracks,
        sum(case when type in ('page', 'screen') then 1 else 0 end) as n_pages,
        min(event_at) as first_event_at,
        max(event_at) as last_event_at
    from {{ ref('fct_events') }}
    where person_id is null and not {{ is_object_call() }}
    group by source, anonymous_id
),

ranked as (
    select
        source,
        anonymous_id,
        n_events,
        cast(n_tracks as bigint) as n_tracks,
        cast(n_pages as bigint) as n_pages,
        first_event_at,
        last_event_at,
        row_number() over (partition by source order by n_events desc, anonymous_id asc) as place
    from orphans
)

select
    source,
    anonymous_id,
    n_events,
    n_tracks,
    n_pages,
    first_event_at,
    last_event_at
from ranked
where place <= 100
