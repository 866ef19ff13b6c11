"""Who comes first is served first, and a turn is never lost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from search.turns import Turns


def test_no_more_than_so_many_have_a_turn() -> None:
    turns = Turns(2)
    inside, most, lock = 0, 0, threading.Lock()

    def search(_number: int) -> None:
        nonlocal inside, most
        with turns:
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.001)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(search, range(200)))
    assert (inside, most) == (0, 2)


def test_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    turns = Turns(1)
    served: list[int] = []

    def search(number: int) -> None:
        with turns:
            served.append(number)

    threads = [threading.Thread(target=search, args=(number,)) for number in range(8)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) <= number:  # pyright: ignore[reportPrivateUsage]
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert served == [*range(8)]


def test_a_search_that_fails_gives_its_turn_on() -> None:
    turns = Turns(1)
    with pytest.raises(ValueError, match="broken"), turns:
        raise ValueError("broken")
    with turns:
        pass
