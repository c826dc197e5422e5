"""Filters that find by themselves: one index of all closed words, and full text that forgives what is misspelt."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Words without sign or quotes that no permit has, each with what is searched instead: what begins so, else the most
# alike. Eight at most: each costs some milliseconds.
WIDENED = r"""
CREATE FUNCTION widened_words(asked TEXT) RETURNS TABLE (word TEXT, lexeme TEXT, read_as TEXT[])
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  WITH words AS (
    SELECT DISTINCT lower(found[1]) AS word
    FROM regexp_matches(
      regexp_replace(searchable(asked), '-?"[^"]*"?|(^|\s)-\S*', ' ', 'g'), '[[:alnum:]]+', 'g'
    ) AS found
  ), unknown AS (
    SELECT word, lexeme
    FROM words CROSS JOIN LATERAL unnest(tsvector_to_array(to_tsvector('english', word))) AS lexeme
    WHERE word ~ '^[[:alpha:]]{3,}$' AND NOT EXISTS (SELECT FROM search_words AS known WHERE known.word = lexeme)
    ORDER BY word LIMIT 8
  )
  SELECT unknown.word, unknown.lexeme, CASE
    WHEN EXISTS (
      SELECT FROM search_words AS known
      WHERE known.word >= unknown.lexeme AND known.word < unknown.lexeme || chr(1114111)
    ) THEN ARRAY[unknown.lexeme || '*']
    ELSE ARRAY(
      SELECT alike.word
      FROM (
        SELECT known.word, similarity(known.word, unknown.lexeme) AS likeness,
          max(similarity(known.word, unknown.lexeme)) OVER () AS greatest
        FROM search_words AS known WHERE known.word % unknown.lexeme
      ) AS alike
      WHERE likeness >= greatest - 0.1 ORDER BY likeness DESC, alike.word LIMIT 5
    ) END
  FROM unknown
$$
"""
# It reads a table, and is declared immutable all the same: so it is computed once, before the plan is chosen, and the
# plan knows how many permits match. The API lets no plan outlive a statement (plan_cache_mode).
QUERY = r"""
CREATE FUNCTION search_query(asked TEXT) RETURNS TSQUERY LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  sought TSQUERY := websearch_to_tsquery('english', searchable(asked));
  widened RECORD;
BEGIN
  FOR widened IN SELECT * FROM widened_words(asked) WHERE cardinality(read_as) > 0 LOOP
    sought := ts_rewrite(sought, quote_literal(widened.lexeme)::tsquery, (
      SELECT string_agg(quote_literal(rtrim(one, '*')) || CASE WHEN one LIKE '%*' THEN ':*' ELSE '' END, ' | ')
      FROM unnest(widened.read_as) AS one
    )::tsquery);
  END LOOP;
  RETURN sought;
END
$$
"""
CLOSED = (
    "categories, status_current, status_current_mapped, permit_type, permit_type_mapped, permit_class,"
    " permit_class_mapped, work_class, zip, district"
)

UP = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE EXTENSION IF NOT EXISTS btree_gin",
    """
    CREATE TABLE search_words (
      word TEXT COLLATE "C" NOT NULL,
      CONSTRAINT pk_search_words PRIMARY KEY (word)
    )
    """,
    "COMMENT ON COLUMN search_words.word IS 'the stem of a word of letters that a permit has or had in search'",
    "CREATE INDEX ix_search_words_alike ON search_words USING gin (word gin_trgm_ops)",
    WIDENED,
    QUERY,
    # One index for every closed word, which knows where several meet; 38 MB of 2.3 million permits.
    "DROP INDEX ix_permits_categories",
    f"CREATE INDEX ix_permits_words ON permits USING gin ({CLOSED})",
    "CREATE INDEX ix_permits_applied ON permits (applied_date)",
    r"""
    INSERT INTO search_words (word)
    SELECT DISTINCT word FROM permits CROSS JOIN LATERAL unnest(tsvector_to_array(search)) AS word
    WHERE word ~ '^[[:alpha:]]{3,}$'
    """,
)

DOWN = (
    "DROP INDEX ix_permits_applied",
    "DROP INDEX ix_permits_words",
    "CREATE INDEX ix_permits_categories ON permits USING gin (categories)",
    "DROP FUNCTION search_query",
    "DROP FUNCTION widened_words",
    "DROP TABLE search_words",
    "DROP EXTENSION btree_gin",
    "DROP EXTENSION pg_trgm",
)


def upgrade() -> None:
    """Add them."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Take them away again."""
    for statement in DOWN:
        op.execute(statement)
