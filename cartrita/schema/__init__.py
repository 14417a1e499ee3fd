"""The API as OpenAPI 3.1, from the declarations."""

from cartrita.schema.document import catalog_entry, example_request, openapi

__all__ = ["catalog_entry", "example_request", "openapi"]
