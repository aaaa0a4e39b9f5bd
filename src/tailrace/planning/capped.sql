-- One row per marketing message that a limit covers and nothing else stopped: whether it fits, and if not, until when.
-- Greedy, by priority, then deadline, then hash: each step of the recursion takes every person's next message.
with recursive coverage as materialized (
    select
        channels.channel,
        list((limits.channel is null or limits.channel = channels.channel)::integer order by limits.limit_no) as covers
    from (select distinct channel from judged where class = 'marketing' and reason is null) as channels
    cross join limits
    group by channels.channel
),

ranked as materialized (
    select
        judged.intent_id,
        judged.person_id,
        judged.channel,
        judged.opens_at,
        coverage.covers,
        row_number() over (
            partition by judged.person_id order by judged.priority desc, judged.expires_at, judged.intent_id
        ) as place
    from judged
    inner join coverage on coverage.channel = judged.channel
    where judged.class = 'marketing' and judged.reason is null and list_contains(coverage.covers, 1)
),

heard as materialized (
    select
        said_before.person_id,
        limits.limit_no,
        said_before.at as said_at
    from said_before
    inner join limits
        on coalesce(limits.channel = said_before.channel, limits.channel is null)
            and said_before.at > $as_of - to_seconds(limits.seconds)
    where said_before.class = 'marketing'
        and exists (select 1 from ranked where ranked.person_id = said_before.person_id)
),

rooms as materialized (
    select
        people.person_id,
        list(limits.most - coalesce(counts.n, 0) order by limits.limit_no) as room
    from (select person_id from ranked where place = 1) as people
    cross join limits
    left join (
        select
            person_id,
            limit_no,
            count(*) as n
        from heard
        group by person_id, limit_no
    ) as counts on counts.person_id = people.person_id and counts.limit_no = limits.limit_no
    group by people.person_id
),

greedy as (
    select
        person_id,
        0::bigint as place,
        null::varchar as intent_id,
        false as fits,
        room
    from rooms

    union all

    select
        person_id,
        place,
        intent_id,
        fits,
        case when fits then list_transform(list_zip(room, covers), lambda pair: pair[1] - pair[2]) else room end as room
    from (
        select
            ranked.person_id,
            ranked.place,
            ranked.intent_id,
            ranked.covers,
            greedy.room,
            len(list_filter(list_zip(greedy.room, ranked.covers), lambda pair: pair[1] <= 0 and pair[2] = 1)) = 0 as fits
        from greedy
        inner join ranked on ranked.person_id = greedy.person_id and ranked.place = greedy.place + 1
    )
),

counted as (
    select
        person_id,
        limit_no,
        said_at,
        0::bigint as place
    from heard
    union all
    select
        ranked.person_id,
        limits.limit_no,
        ranked.opens_at,
        ranked.place
    from greedy
    inner join ranked on ranked.intent_id = greedy.intent_id
    inner join limits on ranked.covers[limits.limit_no] = 1
    where greedy.fits
),

-- The newest `most` of what counts; the oldest of these has to leave the limit's span.
full_until as (
    select
        ranked.intent_id,
        limits.most,
        counted.said_at + to_seconds(limits.seconds) as free_at,
        row_number() over (partition by ranked.intent_id, limits.limit_no order by counted.said_at desc) as newness
    from greedy
    inner join ranked on ranked.intent_id = greedy.intent_id
    inner join limits on ranked.covers[limits.limit_no] = 1
    inner join counted
        on counted.person_id = ranked.person_id and counted.limit_no = limits.limit_no and counted.place < ranked.place
    where not greedy.fits
)

select
    greedy.intent_id,
    greedy.fits,
    max(full_until.free_at) as next_at
from greedy
left join full_until on full_until.intent_id = greedy.intent_id and full_until.newness = full_until.most
where greedy.intent_id is not null
group by greedy.intent_id, greedy.fits
