"""The listening socket of the web server: refusals with a remedy, and the names others may use."""

from __future__ import annotations

import socket

import pytest

from snapcopy_site.listening import ListenRefused, listen


def test_port_zero_takes_a_free_one_and_the_address_says_which() -> None:
    listener = listen("127.0.0.1", 0)
    with listener.socket:
        assert listener.url == f"http://127.0.0.1:{listener.port}/"
        assert listener.names == ()
        assert not listener.answers(), "nobody serves it yet"


def test_a_busy_port_names_the_next_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenRefused, match=f"--port {port + 1}"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(("bind", "port"), [("192.0.2.7", 0), ("no such host", 0), ("127.0.0.1", 99999)])
def test_an_address_or_port_that_cannot_be_is_refused_in_words(bind: str, port: int) -> None:
    with pytest.raises(ListenRefused) as refused:
        listen(bind, port)
    assert "Errno" not in str(refused.value)


def test_on_all_addresses_the_machine_is_known_by_its_names() -> None:
    listener = listen("0.0.0.0", 0)
    with listener.socket:
        assert socket.gethostname() in listener.names
        assert "localhost" in listener.names
        assert "0.0.0.0" not in listener.url


def test_an_ipv6_address_stands_in_brackets() -> None:
    try:
        listener = listen("::1", 0)
    except ListenRefused as error:
        if "Cannot assign" not in str(error) and "not supported" not in str(error):
            raise
        return
    with listener.socket:
        assert listener.url == f"http://[::1]:{listener.port}/"
