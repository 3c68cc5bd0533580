"""Ports that stay ours: a server may come and go on them, and nobody else is given one."""

import socket

import pytest

from tests.support.ports import own_ports


def test_a_server_comes_and_goes_on_a_port_that_refuses_in_between() -> None:
    with own_ports(1) as (port,):
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
            with (
                socket.create_server(("127.0.0.1", port)),
                socket.create_connection(("127.0.0.1", port), timeout=5),
            ):
                pass


def test_nobody_who_does_not_know_a_port_gets_it() -> None:
    """Of 200 ports, a system that gave them away would hand out some to as many thousands of others."""
    with own_ports(200) as ports:
        assert len(set(ports)) == 200
        for _ in range(40):
            with own_ports(200) as others:
                assert not set(ports) & set(others)
        for port in ports[:5]:
            with socket.socket() as plain, pytest.raises(OSError, match="in use"):
                plain.bind(("127.0.0.1", port))
