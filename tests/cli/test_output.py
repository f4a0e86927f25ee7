"""What is printed can be copied, and a reader may go away."""

import os

import pytest

from cli import output
from cli.banner import print_banner
from cli.output import console, print_order, print_orders, time_text
from cli.refused import shown_facts
from cli.up_settings import UpSettings
from eventcore.process.settings import load_settings
from orderes.v1.consistency_pb2 import ReadInfo
from orderes.v1.order_pb2 import Order, Payment

ORDER_ID = "0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b"
PAYMENT_ID = "payment-of-a-length-that-no-narrow-terminal-has-room-for"
TERMINAL_WIDTH = 80


def test_a_reader_that_went_away_is_an_error_of_the_pipe_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    # The file is left to fail with its pipe: what it holds can be written nowhere.
    with os.fdopen(os.open(os.devnull, os.O_WRONLY), "w") as stdout:
        os.dup2(writing, stdout.fileno())
        os.close(writing)
        monkeypatch.setattr("sys.stdout", stdout)

        with pytest.raises(BrokenPipeError):
            console().print("OrderES serves.")
        with pytest.raises(BrokenPipeError):
            print_banner(load_settings(UpSettings, {}))

        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stdout.fileno())
        os.close(nowhere)


def test_ids_and_times_stay_whole_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "PLAIN_WIDTH", TERMINAL_WIDTH)
    order = Order(order_id=ORDER_ID, customer_id="customer " * 20, payments=[Payment()])
    order.place_time.FromJsonString("2026-11-23T09:00:00Z")
    order.payments[0].payment_id = PAYMENT_ID

    print_orders([order], "", ReadInfo())
    print_order(order, ReadInfo())

    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if line.startswith(ORDER_ID))
    assert row.rstrip().endswith(time_text(order.place_time))
    assert any(line.startswith(PAYMENT_ID) for line in printed.splitlines())


def test_only_what_may_be_folded_is_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "PLAIN_WIDTH", TERMINAL_WIDTH)
    order = Order(order_id=ORDER_ID, customer_id="c" * 30)

    print_orders([order], "", ReadInfo())

    lines = capsys.readouterr().out.splitlines()
    folded = [line.split() for line in lines if "cccc" in line]
    assert len(folded) > 1
    assert "".join(word for line in folded for word in line if "cccc" in word) == (
        "c" * 30
    )


def test_amounts_of_a_refusal_are_money_where_their_currency_is_known() -> None:
    facts = {"amount": "10000", "due": "3998", "payment_id": "7", "rule": "OVERPAYMENT"}

    assert shown_facts({**facts, "currency_code": "EUR"}) == {
        "amount": "100.00 EUR",
        "due": "39.98 EUR",
        "payment_id": "7",
        "currency_code": "EUR",
    }
    assert shown_facts(facts) == {"amount": "10000", "due": "3998", "payment_id": "7"}


def test_an_amount_that_is_no_number_is_shown_as_it_came() -> None:
    facts = {"amount": "much", "currency_code": "EUR"}

    assert shown_facts(facts) == facts
