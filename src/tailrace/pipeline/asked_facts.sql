-- One row: what is wrong with a broadcast's data, and a fingerprint that does not depend on the order of its rows.
select
    count(*) as n_rows,
    count(distinct user_id) as n_people,
    (
        select min(nth)
        from told
        where user_id is null or trim(user_id) = ''
    ) as nameless,
    (
        select min(nth)
        from told
        where fields is null
    ) as unread,
    (
        select min(nth)
        from (
            select
                nth,
                row_number() over (partition by user_id order by nth) as time
            from told
        ) as times
        where time > 1
    ) as again,
    (
        select min(nth)
        from told
        where json_exists(fields, '$.campaign') or json_exists(fields, '$.key')
    ) as reserved,
    coalesce(sum(md5_number_lower(concat_ws(chr(31), user_id, fields::varchar))::hugeint), 0)::varchar as fingerprint
from told
