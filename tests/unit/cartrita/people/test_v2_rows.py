"""Tests of reading v2's accounts."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.errors import InvalidMessage
from cartrita.people.v2_rows import Refusal, V2User, checked, rows_of

HASH = "$2b$12$" + "a" * 53
ROW = {"id": 7, "name": "Ada", "email": "ada@example.org", "password_hash": HASH}

CSV = f"""id,name,email,password_hash,role,created_at
7,"Ada, L.",ADA@example.org,{HASH},admin,2025-08-01 12:00:00+00
8,,eve@example.org,{HASH},user,
"""


names = st.sampled_from([*ROW, "role", "created_at"])
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


def only(row):
    (found,) = checked([row])
    return found


def test_a_csv_is_read():
    ada, eve = checked(rows_of(CSV))
    assert (ada.number, ada.name, ada.email, ada.admin) == (7, "Ada, L.", "ada@example.org", True)
    assert ada.created_at == datetime(2025, 8, 1, 12, tzinfo=UTC).timestamp()
    assert (eve.name, eve.created_at, eve.admin) == ("eve", None, False)
    assert (ada.place, eve.place) == (1, 2)


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 7, "email": "ada@example.org", "username": "Ada", "password": "HASH"}]',
        '{"users": [{"id": "7", "email": "ada@example.org", "name": "Ada", "password": "HASH"}]}',
        '\ufeff{"id": 7, "email": "ada@example.org", "name": "Ada", "password_hash": "HASH"}\n\n',
    ],
)
def test_every_kind_of_json_is_read(text):
    (ada,) = checked(rows_of(text.replace("HASH", HASH)))
    assert (ada.number, ada.name, ada.password_hash) == (7, "Ada", HASH)


def test_json_lines_are_read():
    line = '{"id": %d, "email": "u%d@example.org", "password_hash": "' + HASH + '"}\n'
    assert [one.number for one in checked(rows_of(line % (1, 1) + line % (2, 2)))] == [1, 2]


@pytest.mark.parametrize(
    "text", ["", " \n", "no header\n1", "name,email\na,b", '{"id": 1}\n{broken', 'id,email\n"open']
)
def test_what_is_none_of_these_is_refused(text):
    with pytest.raises(InvalidMessage):
        list(rows_of(text))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": 0}, "'id'"),
        ({"id": -1}, "'id'"),
        ({"id": True}, "'id'"),
        ({"id": None}, "'id'"),
        ({"id": "7.0"}, "'id'"),
        ({"id": 1_000_000_001}, "'id'"),
        ({"id": "9" * 5000}, "'id'"),
        ({"email": "nobody"}, "'email'"),
        ({"email": None}, "'email'"),
        ({"name": "x" * 201}, "'name'"),
        ({"name": "a\x00b"}, "'name'"),
        ({"password_hash": None}, "'password_hash'"),
        ({"password_hash": "secret"}, "'password_hash'"),
        ({"password_hash": "$2b$10$short"}, "'password_hash'"),
        ({"password_hash": "$2b$31$" + "a" * 53}, "'password_hash' has a cost"),
        ({"created_at": "yesterday"}, "'created_at'"),
    ],
)
def test_a_bad_row_is_named_with_its_reason(change, words):
    found = only(ROW | change)
    assert isinstance(found, Refusal)
    assert found.place == 1
    assert found.reason.startswith(words)
    assert "secret" not in found.reason


def test_what_comes_twice_is_named_and_the_first_stays():
    rows = [
        ROW,
        ROW | {"email": "b@example.org"},
        ROW | {"id": 8},
        ROW | {"id": 9, "email": "c@d.e"},
    ]
    first, same_id, same_email, other = checked(rows)
    assert isinstance(first, V2User)
    assert same_id == Refusal(2, "7", "'id' is that of row 1, too.")
    assert same_email == Refusal(3, "8", "'email' is that of row 1, too.")
    assert other.number == 9


def test_a_row_of_a_database_is_read():
    row = ROW | {"created_at": datetime(2025, 8, 1, 12), "is_admin": True, "role": None}  # noqa: DTZ001
    assert only(row).created_at == datetime(2025, 8, 1, 12, tzinfo=UTC).timestamp()
    assert only(row).admin
    assert HASH not in repr(only(row))


@given(st.lists(st.dictionaries(names, values), max_size=4))
def test_each_row_is_an_account_or_is_named(rows):
    found = list(checked(rows))
    assert [one.place for one in found] == list(range(1, len(rows) + 1))


@given(st.text(max_size=60))
def test_no_text_does_worse_than_being_refused(text):
    try:
        rows = list(rows_of(text))
    except InvalidMessage:
        return
    list(checked(rows))
