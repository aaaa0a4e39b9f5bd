-- One row per user id that became another person's: who that person is now, by all aliases that have landed.
-- An id that is in no event as its user id is no person, and is not here.
{{ config(materialized='table', tags=['by_load'], meta={
    'declassify': 'which user ids are one person, and nothing of what somebody did',
}) }}

select
    user_id,
    {{ person_key('user_id') }} as person_id,
    into_user_id,
    {{ person_key('into_user_id') }} as into_person_id,
    merged_at
from {{ ref('int_user_merges') }} as merged
where exists (
        select 1
        from {{ ref('fct_events') }} as events
        where events.user_id = merged.user_id
    )
