"""Makes data that looks personal and belongs to nobody."""

import phonenumbers
from hypothesis import strategies as st
from stdnum import iban, luhn

DIGITS = "0123456789"
ALNUM = DIGITS + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWER = "abcdefghijklmnopqrstuvwxyz"

REGIONS = ["US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "SE", "BR", "IN", "JP", "AU", "ZA"]
NATIONAL = ["US"]


def texts(alphabet, least, most):
    return st.text(alphabet=alphabet, min_size=least, max_size=most)


emails = st.builds(
    lambda name, host, top: f"{name}@{host}.{top}",
    texts(LOWER + DIGITS, 1, 12),
    texts(LOWER, 1, 12),
    st.sampled_from(["org", "com", "co.uk", "de", "museum"]),
)


def _grouped(digits: str, sign: str) -> str:
    return sign.join(digits[at : at + 4] for at in range(0, len(digits), 4))


cards = st.builds(
    lambda first, rest, sign: _grouped(first + rest + luhn.calc_check_digit(first + rest), sign),
    st.sampled_from(["4", "51", "5500", "6011", "37"]),
    texts(DIGITS, 11, 11),
    st.sampled_from(["", " ", "-"]),
)

ibans = st.builds(
    lambda bank, account, spaced: _iban(bank + account, spaced),
    texts(DIGITS, 8, 8),
    texts(DIGITS, 10, 10),
    st.booleans(),
)


def _iban(account: str, spaced: bool) -> str:
    number = "DE" + iban.calc_check_digits("DE00" + account) + account
    return _grouped(number, " ") if spaced else number


def _example(region: str, form: int) -> str:
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    return phonenumbers.format_number(number, form)


FORMS = phonenumbers.PhoneNumberFormat
phones = st.one_of(
    st.builds(_example, st.sampled_from(REGIONS), st.sampled_from([FORMS.INTERNATIONAL])),
    st.builds(_example, st.sampled_from(REGIONS), st.just(FORMS.E164)),
    st.builds(_example, st.sampled_from(NATIONAL), st.just(FORMS.NATIONAL)),
)

ips = st.one_of(
    st.builds("8.{}.{}.{}".format, *[st.integers(0, 255)] * 3),
    st.builds("2a02:{:x}:{:x}::{:x}".format, *[st.integers(1, 0xFFFF)] * 3),
)

keys = st.builds(
    lambda prefix, rest: prefix + rest,
    st.sampled_from(["sk-", "sk-proj-", "ghp_", "hf_", "ctk_", "glpat-", "tvly-"]),
    texts(ALNUM, 32, 40),
)

jwts = st.builds(
    lambda head, body, mark: f"eyJ{head}.eyJ{body}.{mark}",
    texts(ALNUM, 10, 30),
    texts(ALNUM, 10, 60),
    texts(ALNUM + "_-", 20, 60),
)

identities = st.sampled_from(
    [
        "536-90-4399",  # us.ssn
        "12345678Z",  # es.dni
        "X2482300W",  # es.nie
        "RCCMNL83S18D969H",  # it.codicefiscale
        "2 95 10 99 126 111 93",  # fr.nir
        "756.9217.0769.85",  # ch.ssn
        "390.533.447-05",  # br.cpf
        "131052-308T",  # fi.hetu
        "AB 12 34 56 C",  # gb, national insurance
    ]
)

values = st.one_of(emails, cards, ibans, phones, ips, keys, jwts, identities)
