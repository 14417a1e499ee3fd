"""Tests of cartrita/writing/orders.py."""

import pytest

from cartrita.writing import orders


def test_a_length_is_a_name_or_a_number_of_words():
    assert orders.words("blog", "long").wanted == 1400
    assert orders.words("blog", 33).wanted == 33


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (orders.content("a poem", "dark\nand dry", "short"), "tone that is dark and dry."),
        (orders.edit("text", "Correct it.", None), "Keep its style and tone."),
        (orders.edit("text", "Correct it.", "dry"), "Its style should be dry."),
        (orders.summary("text", 50, bullets=True), "a list of points"),
        (orders.blog("topic", "fun", 500, ["a", "b"]), "each of these keywords: a, b."),
        (orders.email("all", "warm", "short"), "The first line is `Subject: …`"),
        (orders.document("brief", "all", "dry", "long"), "Background, Key points"),
    ],
)
def test_an_order_says_what_is_wanted(order, told):
    assert told in order.instruction


def test_a_mail_without_a_subject_is_complained_about():
    order = orders.email("all", "warm", "short")
    assert "Subject" in order.complaint("Dear all")
    assert order.complaint("Subject: x\n\nDear all") is None


def test_what_is_not_known_is_left_out():
    assert orders.listed(("A", "1"), ("B", None), ("C", "")) == "A:\n1"
