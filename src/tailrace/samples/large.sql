-- One row per call of file `file` of `files`: people `identify` once in the first file, all others are tracks. Chance is a hash.
with numbered as (
    select
        n,
        hash(n, getvariable('seed')) as chance,
        hash(n, getvariable('seed'), 'when') as moment
    from range(getvariable('first_row'), getvariable('last_row')) as rows (n)
),

drawn as (
    select
        n,
        chance,
        n < getvariable('people') as is_identify,
        case
            when n < getvariable('people') then n
            -- The square makes a few people very busy and leaves most with little.
            else floor(getvariable('people') * pow((chance % 1000003) / 1000003.0, 2))::bigint
        end as person,
        getvariable('opens')::timestamp
        + to_milliseconds(((moment % 1000000007) / 1000000007.0 * getvariable('span_ms'))::bigint) as called_at,
        (chance // 1000003) % 100 as kind
    from numbered
)

select
    'm-' || lpad(to_hex(chance), 16, '0') || lpad(to_hex(n), 10, '0') as "messageId",
    case when is_identify then 'identify' else 'track' end as type,
    'u' || lpad(person::varchar, 9, '0') as "userId",
    case
        when is_identify then null
        when kind < 60 then 'logged_in'
        when kind < 88 then 'report_exported'
        when kind < 94 then 'project_created'
        when kind < 97 then 'teammate_invited'
        else 'integration_connected'
    end as event,
    strftime(called_at, '%Y-%m-%dT%H:%M:%S.%gZ') as timestamp,
    case
        when not is_identify and kind between 60 and 87 then
            '{"format":"csv","rows":' || (chance % 5000)::varchar || '}'
        when not is_identify and kind >= 97 then '{"name":"slack"}'
    end::json as properties,
    case
        when is_identify then
            '{"email":"p' || person || '@example.com","first_name":"P' || person
            || '","last_name":"Example","country":"US","timezone":"America/New_York"}'
    end::json as traits
from drawn
