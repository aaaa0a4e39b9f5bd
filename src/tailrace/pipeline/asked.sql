-- One row per person that a broadcast's data names: the call that asks for them. Ids are hashes of campaign, key and person.
select
    'track' as type,
    sha256(concat_ws(chr(31), $campaign, $key, user_id)) as "messageId",
    'broadcast_requested' as event,
    user_id as "userId",
    $at as timestamp,
    json_merge_patch(fields, json_object('campaign', $campaign, 'key', $key)) as properties
from told
order by user_id
