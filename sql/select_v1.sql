-- Judges every landed record: is it in the window, of the wanted operation, model and metadata?
-- Grain:  one row per row of `landed` (records and quarantined lines alike).
-- Input:  landed (tables.LANDED without the bodies).
-- Params: $since, $until   TIMESTAMPTZ, half open; NULL means open
--         $operations      VARCHAR[]; empty means all
--         $models          VARCHAR[], glob patterns of a model id, an ARN, or what follows the last
--                          slash of an ARN; empty means all
--         $clauses         metadata filter: STRUCT(key, vals, negated)[][]; all clauses must hold,
--                          of each at least one literal; no vals asks whether the key exists
-- Output: beside the reason, `failed_clause` is the first (from 1) that does not hold.
-- Order:  object, line (total).
with judged as (
    select
        object,
        line,
        request_id,
        reason,
        detail,
        body_digest,
        "timestamp",
        ($since is null or "timestamp" >= cast($since as timestamptz))
            and ($until is null or "timestamp" < cast($until as timestamptz)) as is_in_window,
        len(cast($operations as varchar[])) = 0
            or coalesce(list_contains(cast($operations as varchar[]), operation), false)
            as is_operation,
        len(cast($models as varchar[])) = 0
            or coalesce(list_bool_or(list_transform(
                cast($models as varchar[]), lambda pattern :
                    model_id glob pattern or split_part(model_id, '/', -1) glob pattern
            )), false) as is_model,
        list_position(list_transform(
            cast($clauses as struct(key varchar, vals varchar[], negated boolean)[][]),
            lambda clause : list_bool_or(list_transform(clause, lambda test :
                case
                    when len(test.vals) = 0
                        then coalesce(map_contains(request_metadata, test.key), false)
                    else coalesce(list_contains(test.vals, request_metadata[test.key]), false)
                end <> test.negated
            ))
        ), false) as failed_clause,
        coalesce(list_bool_or(list_transform(
            flatten(cast($clauses as struct(key varchar, vals varchar[], negated boolean)[][])),
            lambda test : test.negated and len(test.vals) > 0
                and not coalesce(map_contains(request_metadata, test.key), false)
        )), false) as lacks_negated_key
    from landed
),

reasoned as (
    select
        * exclude (reason),
        case
            when reason is not null then reason
            when not is_in_window then 'select_outside_window'
            when not is_operation then 'select_operation'
            when not is_model then 'select_model'
            when failed_clause is not null then 'select_metadata'
        end as reason
    from judged
),

-- Of records that carry one request id, the first is taken: deliveries may repeat.
numbered as (
    select
        *,
        case when reason is null then row_number() over same_request end as delivery,
        case when reason is null then first_value(body_digest) over same_request end as first_digest
    from reasoned
    window same_request as (
        partition by request_id, reason is null order by "timestamp", object, line
    )
)

select
    object,
    line,
    request_id,
    case
        when reason is not null then reason
        when delivery > 1 and body_digest = first_digest then 'select_repeated_request'
        when delivery > 1 then 'select_conflicting_request'
    end as reason,
    case when reason is null and delivery > 1 then request_id end as survivor,
    detail,
    case when reason = 'select_metadata' then failed_clause end as failed_clause,
    reason is null and lacks_negated_key as lacks_negated_key
from numbered
order by object, line
