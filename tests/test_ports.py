"""Laws of the ports that tests take: no two processes and no two servers have one."""

from __future__ import annotations

import socket
from itertools import islice

from tests.ports import _is_free, _lowest_of_the_kernel, _ports, free_port


def test_two_processes_that_begin_alike_have_no_port_in_common() -> None:
    """Two rows begin at the same block, as two processes with one number would."""
    one, other = _ports(), _ports()
    first, second = set(islice(one, 60)), set(islice(other, 60))
    assert not first & second
    assert max(first | second) < _lowest_of_the_kernel()


def test_a_port_is_given_once_and_one_that_is_taken_is_seen() -> None:
    given = [free_port(), free_port(2), free_port()]
    assert len({*given, given[1] + 1}) == 4
    with socket.socket() as held:
        held.bind(("127.0.0.1", given[0]))
        assert not _is_free(given[0])
    assert _is_free(given[0])
