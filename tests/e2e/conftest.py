"""Fixtures: each hands out a maker and closes what was made."""
import os, sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import relevo


def pytest_configure(config):
    if not os.access(relevo.BINARY, os.X_OK):
        pytest.exit('%s is not there: build it first' % relevo.BINARY, 1)


@pytest.fixture
def make_sink():
    made = []

    def make(*a, **kw):
        made.append(relevo.Sink(*a, **kw))
        return made[-1]
    yield make
    for s in made:
        s.close()


@pytest.fixture
def make_relay(request):
    made = []

    def make(*a, **kw):
        made.append(relevo.Relay(*a, **kw))
        return made[-1]
    yield make
    if request.node.stash.get(FAILED, False):
        for r in made:
            print('---- log of the relay\n' + r.text()[-20000:])
    for r in made:
        r.close()


FAILED = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.stash[FAILED] = True
