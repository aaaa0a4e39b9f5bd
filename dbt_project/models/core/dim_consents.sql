-- One row per person, channel and topic ('' is all of them) about which somebody has said yes or no by as_of.
-- The most restrictive word wins: across sources, and across the person and the address that they have now.
-- No later word of another kind or source lifts a no, except the person's own yes to the same topic. See docs/consent.md.
with statements as (
    select
        event_id,
        source,
        event_at,
        person_id,
        address,
        channel,
        topic,
        says,
        kind
    from {{ ref('fct_consent_statements') }}
    where event_at <= {{ as_of() }}
        and says in ('subscribed', 'unsubscribed')

    union all

    select
        event_id,
        source,
        event_at,
        person_id,
        address,
        channel,
        case when kind = 'unsubscribed' then topic else '' end as topic,
        'unsubscribed' as says,
        'provider' as kind
    from {{ ref('fct_receipts') }}
    where event_at <= {{ as_of() }}
        and kind in ('unsubscribed', 'complained')
        and (person_id is not null or address is not null)
),

-- What each speaker said last, per source and kind of word: a source may take back its own.
last_words as (
    select
        person_id,
        address,
        channel,
        topic,
        source,
        kind,
        max(case when says = 'unsubscribed' then event_at end) as refused_at,
        max(case when says = 'subscribed' then event_at end) as agreed_at
    from statements
    group by person_id, address, channel, topic, source, kind
),

words as (
    select
        person_id,
        address,
        channel,
        topic,
        source,
        kind,
        'no' as word,
        refused_at as said_at
    from last_words
    where refused_at >= coalesce(agreed_at, timestamp '0001-01-01 00:00:00')

    union all

    select
        person_id,
        address,
        channel,
        topic,
        source,
        kind,
        'yes' as word,
        agreed_at as said_at
    from last_words
    where agreed_at is not null
        and (kind = 'own' or agreed_at > coalesce(refused_at, timestamp '0001-01-01 00:00:00'))
        -- A trait says that nobody refused; it is no agreement to a topic, and lifts nothing but its own.
        and kind != 'trait'
),

speakers as (
    select distinct person_id
    from words
    where person_id is not null
        and address is null
),

addresses as (
    {{ address_spans('speakers') }}
),

-- A word is about the address that it names, else about those that the speaker had then.
addressed as (
    select
        {{ named_subject('address', 'channel') }} as subject,
        channel,
        topic,
        source,
        kind,
        word,
        said_at
    from words
    where address is not null

    union all

    select
        addresses.subject,
        words.channel,
        words.topic,
        words.source,
        words.kind,
        words.word,
        words.said_at
    from words
    inner join addresses
        on words.person_id = addresses.person_id
            and words.address is null
            and words.said_at >= addresses.since
            and (addresses.until is null or words.said_at < addresses.until)
),

-- Where one can be reached: the inbox (a:) and the number (n:).
reached as (
    {%- for prefix, channel in [('a:', 'email'), ('n:', 'sms'), ('n:', 'whatsapp')] %}
    select
        '{{ prefix }}' as prefix,
        '{{ channel }}' as channel
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

-- A word counts for whoever spoke it (p:), and on the channels that go there for the inbox (a:) or number (n:) that it was
-- spoken about.
subjects as (
    select
        'p:' || {{ as_text('person_id') }} as subject,
        channel,
        topic,
        source,
        kind,
        word,
        said_at
    from words
    where person_id is not null

    union all

    select
        addressed.subject,
        reached.channel,
        addressed.topic,
        addressed.source,
        addressed.kind,
        addressed.word,
        addressed.said_at
    from addressed
    inner join reached
        on addressed.subject like reached.prefix || '%'
            and addressed.channel in ('', reached.channel)
),

standing as (
    select
        refusals.subject,
        refusals.channel,
        refusals.topic,
        refusals.source,
        'unsubscribed' as state,
        refusals.said_at
    from subjects as refusals
    where refusals.word = 'no'
        and not exists (
            select 1
            from subjects as opted
            where opted.word = 'yes'
                and opted.kind = 'own'
                and opted.subject = refusals.subject
                and opted.topic = refusals.topic
                and opted.channel in ('', refusals.channel)
                and opted.said_at > refusals.said_at
        )

    union all

    -- Agreeing is personal: that another person with this inbox agreed is not this one's yes.
    select
        subject,
        channel,
        topic,
        source,
        'subscribed' as state,
        said_at
    from subjects
    where word = 'yes'
        and (kind = 'import' or subject like 'p:%')
),

bound as (
    {{ by_person('standing', ['channel', 'topic', 'source', 'state', 'said_at']) }}
),

ranked as (
    select
        person_id,
        channel,
        topic,
        state,
        said_at,
        source,
        row_number() over (
            partition by person_id, channel, topic
            order by case when state = 'unsubscribed' then 0 else 1 end asc, said_at desc, source asc
        ) as place
    from bound
)

select
    person_id,
    channel,
    topic,
    state,
    said_at,
    source
from ranked
where place = 1
