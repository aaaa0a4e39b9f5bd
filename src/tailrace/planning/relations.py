"""Which relations does a plan have, and with which columns? The one list; every one is Parquet.

Each value is a typed select without rows: the SQL that stands in for a relation that a plan lacks, and the
documentation of its columns. Grain and meaning are in the comment above it.
"""

from __future__ import annotations

# load that the plan has seen
LOADS = "select ''::varchar as load_id, 0::bigint as load_seq, false as is_history"

# segment × person that moved in this plan; change: entered, left; cause: memberships.Cause
CHANGES = "select ''::varchar as segment, 0::bigint as person_id, ''::varchar as change, ''::varchar as cause"

# pass of one person through one campaign version. `step` is where the person rests (null when over), `event` the
# properties (JSON text) of the event that triggered it, `object_id` the object that did. status: active, completed, or
# why it ended (verdict.Why). `wake_at` is the first moment at which the pass can go on: it has nothing to do in a run
# before; FOREVER when it is over.
ENROLLMENTS = """
select
    ''::varchar as enrollment_id, ''::varchar as campaign, ''::varchar as version, 0::bigint as person_id,
    ''::varchar as occurrence, '2000-01-01'::timestamp as entered_at, ''::varchar as arm, ''::varchar as step,
    '2000-01-01'::timestamp as arrived_at, ''::varchar as status, '2000-01-01'::timestamp as goal_at,
    ''::varchar as event, ''::varchar as object_id, '2000-01-01'::timestamp as wake_at
"""

FOREVER = "timestamp '9999-12-31'"

# user id of a person that is another person's now, by their keys
MERGES = "select 0::bigint as person_id, 0::bigint as into_person_id"

# user id that this plan finds to be another's (effect `merged`, the other columns null), and pass that changed hands or
# ends because of it; effect: goes_on, ends, is_over
MERGED = """
select
    0::bigint as person_id, 0::bigint as into_person_id, ''::varchar as campaign, ''::varchar as enrollment_id,
    ''::varchar as step, ''::varchar as effect
"""

# person who is made of other user ids than before a segment was parked; only while one is
MERGED_WAITING = "select 0::bigint as person_id"

# message of a pass, and the same of another pass that a merge of this plan made the same person's: only one of them is
# to go. is_once: also when the other one went long ago
MERGED_MESSAGES = "select ''::varchar as intent_id, ''::varchar as other_intent_id, false as is_once"

# what the trigger of a campaign watches, as it was: attribute by person, or object in the segment (value `in`). A null
# value says that it is gone.
WATCHED = "select ''::varchar as key, ''::varchar as value"

# person × split of a campaign: the arm that they have
ASSIGNMENTS = "select 0::bigint as person_id, ''::varchar as step, ''::varchar as name"

# attribute or segment of a person that a step changes when the plan is applied; kind: update, add, remove; value: JSON
# text of an update. Holds personal data.
ACTS = """
select
    ''::varchar as intent_id, 0::bigint as person_id, ''::varchar as campaign, ''::varchar as step,
    ''::varchar as kind, ''::varchar as name, ''::varchar as value
"""

# relations of several pieces in which a later row replaces the earlier ones with its key; the first piece is the base
KEYS = {"enrollments": ("enrollment_id",), "watched": ("key",), "assignments": ("person_id", "step")}

# campaign version that somebody is or was on: the text of its campaign.yml
VERSIONS = "select ''::varchar as campaign, ''::varchar as version, ''::varchar as source"

# enrollment × step moved in this plan, in order of `position`. why: verdict.Why
TRANSITIONS = """
select
    ''::varchar as enrollment_id, ''::varchar as campaign, ''::varchar as version, 0::bigint as person_id,
    0::integer as position, ''::varchar as from_step, ''::varchar as to_step, ''::varchar as why
"""

# person × message, action or entry considered. step is `(entry)` for a person whom a trigger named but who did not
# enter, `(correction)` for a pass that `send now` was chosen for and that does not begin. deliver_after is null unless
# the verdict is send; next_at: when what was deferred or refused is eligible again.
VERDICTS = """
select
    ''::varchar as intent_id, ''::varchar as enrollment_id, ''::varchar as campaign, ''::varchar as version,
    ''::varchar as step, ''::varchar as message, 0::bigint as person_id, ''::varchar as channel,
    ''::varchar as verdict, ''::varchar as reason, ''::varchar as class, 0::integer as priority,
    '2000-01-01'::timestamp as due_at, '2000-01-01'::timestamp as deliver_after, '2000-01-01'::timestamp as expires_at,
    ''::varchar as topic, '2000-01-01'::timestamp as next_at
"""

# intent with verdict send: what its template needs, as it was at as_of. Holds personal data. `hours`: JSON text of the
# hours outside which it may not leave, null for any: zone, days, from, to, quiet_days, quiet_from, quiet_to, in minutes
# of the day
PAYLOADS = """
select
    ''::varchar as intent_id, 0::bigint as person_id, ''::varchar as campaign, ''::varchar as step,
    ''::varchar as channel, ''::varchar as address, ''::varchar as message_key, ''::varchar as data,
    ''::varchar as hours
"""

# message as it was written when the plan was made
MESSAGES = """
select
    ''::varchar as message_key, ''::varchar as campaign, ''::varchar as message, ''::varchar as channel,
    ''::varchar as kind, ''::varchar as source
"""

# marketing message that counts for frequency caps: sent, on its way, or waiting for approval; `at`: its deliver_after
SAID = """
select
    ''::varchar as intent_id, 0::bigint as person_id, ''::varchar as campaign, ''::varchar as class,
    ''::varchar as channel, ''::varchar as topic, '2000-01-01'::timestamp as at
"""

# person × channel × topic × class that may not be written to at as_of, asked again at the call. '' is any of them.
CONSENTS = """
select
    0::bigint as person_id, ''::varchar as channel, ''::varchar as topic, ''::varchar as class, ''::varchar as reason
"""

# key that a sync adds, updates or removes. Holds personal data.
SYNC_OPS = """
select
    ''::varchar as sync, ''::varchar as key, ''::varchar as op, ''::varchar as row_hash, ''::varchar as data,
    0::integer as batch_no, 0::integer as position
"""

# key of a sync that the destination has accepted, with the hash of its row (`?` when the answer is not known; after a
# `!` when it is to be said again), or that it has refused, with when and why; `rejected_hash` is empty when it was a
# removal that it refused. `columns` (JSON text) are those of the row that are no keys, `cells` a short hash of each
# one's value.
ACKNOWLEDGED = """
select
    ''::varchar as key, ''::varchar as row_hash, ''::varchar as rejected_hash, '2000-01-01'::timestamp as rejected_at,
    ''::varchar as rejected_code, ''::varchar as columns, [0]::uinteger[] as cells
"""
