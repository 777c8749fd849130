"""Fixtures: each hands out a maker and closes what was made."""
import os, sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dns, internet, postfix, relevo


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


@pytest.fixture
def make_names(tmp_path):
    """Zones on nsd: make_names(zone, text), or make_names(zones={...}); start=False leaves it down at first."""
    made = []

    def make(zone='example', text='', zones=None, **kw):
        made.append(dns.NameServer(zones or {zone: text}, tmp_path, **kw))
        return made[-1]
    yield make
    for n in made:
        n.stop()


@pytest.fixture
def make_scripted():
    """A name server that does as it is told."""
    made = []

    def make(*a, **kw):
        made.append(dns.Scripted(*a, **kw))
        return made[-1]
    yield make
    for n in made:
        n.stop()


@pytest.fixture
def make_signed_names(tmp_path):
    made = []

    def make(*a, **kw):
        made.append(internet.signed_names(tmp_path, *a, **kw))
        return made[-1]
    yield make
    for n in made:
        n.stop()


@pytest.fixture
def exchangers(make_sink):
    return lambda n, scripts=(), more=(): internet.make_exchangers(make_sink, n, scripts, more)


@pytest.fixture
def make_provider(tmp_path):
    made = []

    def make(host, port, *options):
        folder = tmp_path / ('provider%d' % len(made))
        folder.mkdir()
        made.append(internet.Provider(folder, '%s:%d' % (host, port), *options))
        return made[-1]
    yield make
    for p in made:
        p.end()


@pytest.fixture
def make_postfix():
    if os.getuid() != 0:
        pytest.skip('Postfix needs root to start')
    made = []

    def make(*a, **kw):
        made.append(postfix.Postfix(*a, **kw))
        return made[-1]
    yield make
    for p in made:
        p.close()


FAILED = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.stash[FAILED] = True
