-- migrate:up

-- Vectors of any length, as models differ; each row says which model made its own, and a search
-- looks at those of one model and one length only. An index has one length.
DROP INDEX memories_embedding;
ALTER TABLE memories ALTER COLUMN embedding TYPE halfvec;
CREATE INDEX memories_embedding_384 ON memories
    USING hnsw ((embedding::halfvec(384)) halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
    WHERE vector_dims(embedding) = 384;
CREATE INDEX memories_embedding_768 ON memories
    USING hnsw ((embedding::halfvec(768)) halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
    WHERE vector_dims(embedding) = 768;
CREATE INDEX memories_embedding_1024 ON memories
    USING hnsw ((embedding::halfvec(1024)) halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
    WHERE vector_dims(embedding) = 1024;
CREATE INDEX memories_embedding_1536 ON memories
    USING hnsw ((embedding::halfvec(1536)) halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
    WHERE vector_dims(embedding) = 1536;
CREATE INDEX memories_embedding_3072 ON memories
    USING hnsw ((embedding::halfvec(3072)) halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
    WHERE vector_dims(embedding) = 3072;

-- migrate:down

DROP INDEX memories_embedding_384, memories_embedding_768, memories_embedding_1024,
    memories_embedding_1536, memories_embedding_3072;
DELETE FROM memories WHERE vector_dims(embedding) <> 384;
ALTER TABLE memories ALTER COLUMN embedding TYPE halfvec(384);
CREATE INDEX memories_embedding ON memories
    USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64);
