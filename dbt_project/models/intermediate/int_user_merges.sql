-- One row per id that an alias gave up, with the user id that its person has now: the end of the chain.
-- Of several aliases of an id the first one counts; of aliases in a circle the last one does not, and who it gave up remains.
-- An id may be an anonymous one, which nobody is: core.fct_person_merges has those that are people.
{{ config(materialized='table', tags=['by_load']) }}

with calls as (
    select
        user_id,
        next_user_id,
        event_at,
        event_id,
        source
    from (
        select
            anonymous_id as user_id,
            user_id as next_user_id,
            event_at,
            event_id,
            source,
            row_number() over (partition by anonymous_id order by event_at, event_id, source) as place
        from {{ ref('fct_identity_links') }}
        where is_alias
            and anonymous_id != user_id
    ) as aliases
    where place = 1
),

-- Those that lead to an id which was given up itself.
chained as (
    select
        user_id,
        next_user_id,
        row_number() over (order by event_at, event_id, source) as nth
    from calls
    where next_user_id in (
            select given_up.user_id
            from calls as given_up
        )
),

{{ follow_chains('chained') }},

-- A chain's end is no link of it; where there is no end there is a circle.
followed as (
    select
        ends.user_id,
        coalesce(survivors.user_id, calls.next_user_id) as into_user_id
    from ends
    left join ends as circles on ends.end_user_id = circles.user_id
    left join chained as survivors on circles.last_nth = survivors.nth
    left join calls on ends.end_user_id = calls.user_id
)

select
    calls.user_id,
    coalesce(followed.into_user_id, calls.next_user_id) as into_user_id,
    calls.event_at as merged_at
from calls
left join followed on calls.user_id = followed.user_id
where coalesce(followed.into_user_id, calls.next_user_id) != calls.user_id
