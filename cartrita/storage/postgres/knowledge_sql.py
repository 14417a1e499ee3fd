"""The statements of the store of knowledge."""

# ruff: noqa: S608 - what is put into statements are names from here, never values

from functools import cache

from cartrita.storage.knowledge import SHOWN, Order

# Two writers of one holder would each see room for itself: one waits for the other.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('knowledge ' || $1 || ' ' || $2, 0))"
OTHERS = """
SELECT coalesce(sum(chunks), 0)::int FROM knowledge_entries
WHERE tenant = $1 AND user_id = $2 AND id <> $3
"""
_TOLD = """
    title = $4, content_type = $5, category = $6, subcategory = $7, tags = $8, importance = $9,
    source_type = $10, source_url = $11, file_name = $12, file_kind = $13, file_size = $14,
    updated_at = $15
"""
PUT = f"""
INSERT INTO knowledge_entries (tenant, user_id, id, title, content_type, category, subcategory,
    tags, importance, source_type, source_url, file_name, file_kind, file_size, updated_at,
    content, digest, chunks, embedding_model, embedding, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
    $20::text::halfvec, $21)
ON CONFLICT (tenant, user_id, id) DO UPDATE SET {_TOLD},
    content = $16, digest = $17, chunks = $18, embedding_model = $19,
    embedding = $20::text::halfvec
"""
AMEND = f"""
UPDATE knowledge_entries SET {_TOLD} WHERE tenant = $1 AND user_id = $2 AND id = $3
RETURNING true
"""
DROP_CHUNKS = "DELETE FROM knowledge_chunks WHERE tenant = $1 AND user_id = $2 AND entry = $3"
PUT_CHUNKS = """
INSERT INTO knowledge_chunks
    (tenant, user_id, entry, embedding_model, words, place, start, text, embedding)
SELECT $1, $2, $3, $4, to_tsvector('simple', $5 || ' ' || u.text), u.place, u.start, u.text,
    u.embedding::halfvec
FROM unnest($6::int[], $7::int[], $8::text[], $9::text[]) AS u (place, start, text, embedding)
"""

_ABOUT = """
id, title, content_type, category, subcategory, tags, importance, source_type, source_url,
file_name, file_kind, file_size, digest, chunks, e.embedding_model, created_at, updated_at
"""
_BRIEF = f"{_ABOUT}, left(content, {SHOWN}) AS content"
_OWN = "FROM knowledge_entries AS e WHERE tenant = $1 AND user_id = $2"
FIND = f"SELECT {_ABOUT}, content {_OWN} AND id = $3"
SAME = f"SELECT id {_OWN} AND digest = $3 ORDER BY created_at, id LIMIT 1"
REMOVE = """
DELETE FROM knowledge_entries WHERE tenant = $1 AND user_id = $2 AND id = $3 RETURNING true
"""
CLEAR = """
WITH gone AS (DELETE FROM knowledge_entries WHERE tenant = $1 AND user_id = $2 RETURNING 1)
SELECT count(*) FROM gone
"""

# strpos, unlike LIKE, gives no character a meaning.
_SCOPE = """
    ($3::text IS NULL OR category = $3) AND ($4::text IS NULL OR content_type = $4)
    AND tags @> $5::text[] AND ($6::uuid[] IS NULL OR id = ANY ($6))
    AND (file_name IS NOT NULL OR NOT $7::bool)
    AND ($8::text IS NULL OR strpos(lower(title), lower($8)) > 0
        OR strpos(lower(content), lower($8)) > 0)
"""
COUNT = f"SELECT count(*) {_OWN} AND {_SCOPE}"


@cache
def page(order: Order, last_first: bool) -> str:  # noqa: FBT001 - half of a pair
    """Return the list of entries in an order."""
    column = {"title": 'title COLLATE "C"', "importance_score": "importance"}.get(order, order)
    way = "DESC" if last_first else "ASC"
    return f"""
    SELECT {_BRIEF} {_OWN} AND {_SCOPE} ORDER BY {column} {way}, id {way} LIMIT $9 OFFSET $10
    """


# The entries are read once the pieces are chosen: an entry's content is long.
_PIECES = """
WITH hits AS MATERIALIZED (
    SELECT entry, place, start, c.text, {rank} AS rank
    FROM knowledge_chunks AS c JOIN knowledge_entries AS e
        ON (e.tenant, e.user_id, e.id) = (c.tenant, c.user_id, c.entry)
    WHERE c.tenant = $1 AND c.user_id = $2 AND {scope} AND {which}
    ORDER BY rank, entry, place LIMIT {limit})
SELECT {brief}, place, start, hits.text, {score} AS score
FROM hits JOIN knowledge_entries AS e ON (tenant, user_id, id) = ($1, $2, entry)
WHERE {enough} ORDER BY rank, entry, place
"""


@cache
def by_meaning(length: int) -> str:
    """Return the search for vectors of one length."""
    distance = f"(c.embedding::halfvec({length}) <=> (SELECT $9::text::halfvec({length})))"
    return _PIECES.format(
        score="1 - rank",
        rank=distance,
        scope=_SCOPE,
        which=f"c.embedding_model = $10 AND vector_dims(c.embedding) = {length}",
        limit="$12",
        brief=_BRIEF,
        enough="1 - rank >= $11",
    )


BY_WORDS = _PIECES.format(
    score="NULL::float8",
    rank="-ts_rank(words, websearch_to_tsquery('simple', $9))",
    scope=_SCOPE,
    which="words @@ websearch_to_tsquery('simple', $9)",
    limit="$10",
    brief=_BRIEF,
    enough="true",
)

FOREIGN = f"SELECT embedding_model {_OWN} AND embedding_model <> $3 LIMIT 1"
CATEGORIES = f'SELECT category, count(*) {_OWN} GROUP BY category ORDER BY category COLLATE "C"'
SUMS = f"""
SELECT count(*) AS entries, count(file_name) AS files, coalesce(sum(chunks), 0)::int AS chunks,
    coalesce(sum(length(content)), 0)::bigint AS size, max(updated_at) AS last_at {_OWN}
"""
MIDDLES = f"""
SELECT {_BRIEF}, embedding::text AS middle {_OWN} AND embedding_model = $3
ORDER BY updated_at DESC, id DESC LIMIT $4
"""
