-- grain: one row per landable stage row that says what was said already, in this landing or before it
insert into losers
with ranked as (
    select
        row_no,
        content,
        row_number() over whole as place,
        first_value(content) over whole as winning
    from (select *, hash(type, event, user_id, anonymous_id, previous_id, group_id, properties, traits, context, rest) as content from ready)
    -- Two ids with one number are looked at in vain, and are told apart below.
    where id_number(event_id) in (select number from told_twice)
    -- MD5, for DuckDB's own hash may differ from version to version, and this chooses what is landed.
    window whole as (
        partition by event_id
        order by event_at, md5(concat_ws(
            chr(31), type, coalesce(event, chr(30)), coalesce(user_id, chr(30)), coalesce(anonymous_id, chr(30)),
            coalesce(previous_id, chr(30)), coalesce(group_id, chr(30)), coalesce(properties, chr(30)),
            coalesce(traits, chr(30)), coalesce(context, chr(30)), coalesce(rest, chr(30))
        )), file_no, line, part
    )
),
known as (
    select r.row_no, bool_and(b.content <> r.content) as is_conflicting
    from (select row_no, event_id, hash(type, event, user_id, anonymous_id, previous_id, group_id, properties, traits, context, rest) as content from ready) as r
    inner join landed_before as b on r.event_id = b.event_id
    group by r.row_no
)
select coalesce(k.row_no, d.row_no) as row_no, coalesce(k.is_conflicting, d.content <> d.winning) as is_conflicting
from known as k
full outer join (select row_no, content, winning from ranked where place > 1) as d on k.row_no = d.row_no
