"""Whatever schemathesis makes of the OpenAPI document, the gateway answers as that says."""

from tests.support.http_fuzz import run


def test_the_gateway_keeps_to_its_document():
    found = run(cases=1000, seed=7)

    assert not found.failures, found.report
    assert sum(found.cases.values()) >= 1000
    assert found.cases.keys() >= {"examples", "fuzzing", "stateful"}
    assert {200, 201, 202, 204, 404, 422} <= found.statuses.keys()
