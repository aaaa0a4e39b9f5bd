-- One row per person, channel ('' is all of them) and reason for which no message of any class may be sent at as_of.
-- A dead address (inbox, telephone number, installation's token) is dead for everybody who has it now, and only as long as they
-- have it. See docs/consent.md.
with dead as (
    select
        person_id,
        address,
        channel,
        kind as reason,
        source,
        event_at
    from {{ ref('fct_receipts') }}
    where event_at <= {{ as_of() }}
        and (kind = 'complained' or (kind = 'bounced' and is_hard))
        and (person_id is not null or address is not null)
),

lifted as (
    select
        person_id,
        address,
        channel,
        'lifted' as reason,
        source,
        event_at
    from {{ ref('fct_consent_statements') }}
    where event_at <= {{ as_of() }}
        and says = 'suppression_lifted'
),

told as (
    select
        person_id,
        address,
        channel,
        reason,
        source,
        event_at
    from dead

    union all

    select
        person_id,
        address,
        channel,
        reason,
        source,
        event_at
    from lifted
),

-- A whole person, as Customer.io means it: not a wish about mail, so only the same source takes it back.
blocking as (
    select
        person_id,
        address,
        says,
        source,
        event_at
    from {{ ref('fct_consent_statements') }}
    where event_at <= {{ as_of() }}
        and says in ('suppressed', 'deleted', 'unsuppressed')
),

asked as (
    select person_id
    from told
    where address is null
        or channel in ('sms', 'whatsapp')

    union

    select person_id
    from blocking
    where address is null
),

addresses as (
    {{ address_spans('asked') }}
),

-- Whom a line is about: the address (a:, n:, t:) if it is known, else the person (p:). What is lifted is lifted for both.
subjects as (
    select
        {{ named_subject('address', 'channel') }} as subject,
        channel,
        reason,
        source,
        event_at
    from told
    where address is not null

    union all

    -- Theirs at that time. A number that they have without its country's code is the one that was named with it.
    select
        coalesce(addresses.subject, 'p:' || {{ as_text('told.person_id') }}) as subject,
        told.channel,
        told.reason,
        told.source,
        told.event_at
    from told
    left join addresses
        on told.person_id = addresses.person_id
            and {{ is_about('told.channel', 'addresses.subject') }}
            and told.event_at >= addresses.since
            and (addresses.until is null or told.event_at < addresses.until)
    where told.address is null
        or (told.channel in ('sms', 'whatsapp') and addresses.subject like 'n:%' and addresses.subject not like 'n:+%')

    union all

    select
        'p:' || {{ as_text('person_id') }} as subject,
        channel,
        reason,
        source,
        event_at
    from lifted
    where person_id is not null
),

placed as (
    select
        blocking.person_id,
        blocking.says,
        blocking.source,
        blocking.event_at,
        blocking.address is not null as is_by_address,
        coalesce('a:' || blocking.address, addresses.subject) as inbox
    from blocking
    left join addresses
        on blocking.person_id = addresses.person_id
            and blocking.address is null
            and addresses.subject like 'a:%'
            and blocking.event_at >= addresses.since
            and (addresses.until is null or blocking.event_at < addresses.until)
),

blocked as (
    select
        placed.person_id,
        placed.inbox,
        placed.is_by_address,
        placed.says as reason,
        placed.source,
        placed.event_at
    from placed
    where placed.says != 'unsuppressed'
        and not exists (
            select 1
            from placed as freed
            where freed.says = 'unsuppressed'
                and freed.source = placed.source
                and freed.event_at > placed.event_at
                and (freed.person_id = placed.person_id or freed.inbox = placed.inbox)
        )
),

standing as (
    select
        subjects.subject,
        subjects.channel,
        subjects.reason,
        subjects.source,
        subjects.event_at as suppressed_at
    from subjects
    where subjects.reason != 'lifted'
        and not exists (
            select 1
            from subjects as freed
            where freed.reason = 'lifted'
                and freed.subject = subjects.subject
                and freed.channel in ('', subjects.channel)
                and freed.event_at > subjects.event_at
        )

    union all

    select
        'p:' || {{ as_text('person_id') }} as subject,
        '' as channel,
        reason,
        source,
        event_at as suppressed_at
    from blocked

    union all

    -- Whoever has the inbox is not written to there; named by it, the person is meant.
    select
        inbox as subject,
        case when is_by_address then '' else 'email' end as channel,
        reason,
        source,
        event_at as suppressed_at
    from blocked
    where inbox is not null

    union all

    -- The list kept by hand has no time, and nothing lifts it but taking the line out.
    select
        case
            when trim(listed.address) != '' then {{ named_subject('trim(listed.address)', 'lower(trim(listed.channel))') }}
            else 'p:' || {{ as_text(person_now('trim(listed.user_id)')) }}
        end as subject,
        coalesce(lower(trim(listed.channel)), '') as channel,
        coalesce(nullif(lower(trim(listed.reason)), ''), 'listed') as reason,
        'suppression_list' as source,
        timestamp '0001-01-01 00:00:00' as suppressed_at
    from {{ ref('suppression_list') }} as listed
    where trim(listed.address) != ''
        or trim(listed.user_id) != ''
),

bound as (
    {{ by_person('standing', ['channel', 'reason', 'source', 'suppressed_at']) }}
)

select
    person_id,
    channel,
    reason,
    min(source) as source,
    max(suppressed_at) as suppressed_at
from bound
group by person_id, channel, reason
