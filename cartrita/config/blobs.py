"""The table of the settings file about blobs."""

from pydantic import Field

from cartrita.config.kinds import Location, Names, Section


class Blobs(Section):
    """Large things that are passed by reference."""

    directory: Location | None = Field(
        default=None, description="Folder that they are kept in; unset is `blobs` in the home."
    )
    max_bytes: int = Field(
        default=64 << 20, ge=1024, le=1 << 40, description="Largest blob; more answers 413."
    )
    quota_bytes: int = Field(
        default=1 << 30,
        ge=1024,
        le=1 << 50,
        description="Bytes that the blobs of one user may take on disk together.",
    )
    ttl_s: int = Field(
        default=7 * 86_400,
        ge=60,
        le=3660 * 86_400,
        description="Seconds after which a blob on disk is dropped.",
    )
    types: Names = Field(
        default=(
            "application/json",
            "application/msgpack",
            "application/octet-stream",
            "application/pdf",
            "audio/*",
            "image/*",
            "text/*",
            "video/*",
        ),
        description="Media types that are kept, separated by commas; `*` stands for anything.",
    )
