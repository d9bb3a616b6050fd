import os
import signal
from itertools import count, islice

import pytest

from mult.data.workers import in_processes
from mult.errors import UserError


def add(kept, job):
    return kept + job


def whose(kept, job):
    return os.getpid()


def end(kept, job):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_jobs(processes):
    assert list(in_processes(add, 100, range(30), processes)) == list(range(100, 130))


def test_jobs_are_taken_as_they_are_needed():
    taken = []
    jobs = (taken.append(job) or job for job in count())
    assert list(islice(in_processes(add, 0, jobs, 2), 3)) == [0, 1, 2]
    assert len(taken) < 20


def test_several_processes_work_and_not_this_one():
    assert os.getpid() not in set(in_processes(whose, None, range(8), 2))
    assert set(in_processes(whose, None, range(8), 1)) == {os.getpid()}


def test_a_killed_process_is_said():
    with pytest.raises(UserError, match="a worker process was killed"):
        list(in_processes(end, None, range(8), 2))
