-- How many records of the window carry each key of request metadata, and how many carry none.
-- Grain:  one row per key; the row whose key is NULL counts the records without any.
-- Input:  landed (tables.LANDED without the bodies); quarantined lines are left out.
-- Params: $since, $until   TIMESTAMPTZ, half open; NULL means open
--         $max_keys        BIGINT, the most frequent keys to list
-- Order:  records desc, key (total).
with tagged as (
    select
        unnest(
            case
                when coalesce(cardinality(request_metadata), 0) = 0 then [null]
                else map_keys(request_metadata)
            end
        ) as key
    from landed
    where
        reason is null
        and ($since is null or "timestamp" >= cast($since as timestamptz))
        and ($until is null or "timestamp" < cast($until as timestamptz))
),

counted as (
    select
        key,
        count(*) as records
    from tagged
    group by key
)

select
    key,
    records
from counted
qualify row_number() over (partition by key is null order by records desc, key) <= $max_keys
order by records desc, key
