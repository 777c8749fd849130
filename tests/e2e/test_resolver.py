"""The `resolver` statement of a running relay: whom it asks, a reload to another one, and one that cannot be used."""
import contextlib, pathlib, subprocess

import pytest

import dns
from relevo import BINARY, Sink, wait_for

pytestmark = pytest.mark.skipif(not dns.available(), reason='nsd is not installed')

TEXT = '''resolver %s { timeout 2s%s }
queue { retry 1s }
route next { host backend.dest.example:%d }
accept from local to any via next
'''


def submit(relay, to='b@dest.example'):
    c = relay.client()
    c.hello()
    assert c.mail(b'Subject: x\r\n\r\nbody\r\n', to=(to,))[0] == 250
    c.close()


def test_asks_the_server_that_is_named(make_relay, tmp_path):
    with contextlib.closing(Sink()) as sink, dns.NameServer({'dest.example': 'backend A 127.0.0.1\n'}, tmp_path) as server:
        relay = make_relay(TEXT % (server.address, '', sink.port))
        submit(relay)
        wait_for(lambda: len(sink.messages) == 1)


def test_failure_waits_and_a_reload_helps(make_relay, tmp_path):
    with contextlib.closing(Sink()) as sink, dns.Scripted() as bad, \
            dns.NameServer({'dest.example': 'backend A 127.0.0.1\n'}, tmp_path) as good:
        bad.on('*', rcode=2)
        relay = make_relay(TEXT % (bad.address, '', sink.port))
        submit(relay)
        wait_for(lambda: bad.asked)
        wait_for(lambda: 'could not be looked up' in relay.text())
        assert not sink.messages
        # a resolver that cannot be used leaves the old one in force, and says so
        anchor = pathlib.Path(relay.folder, 'anchor')   # beside the configuration: the sandbox reaches it
        anchor.write_text('this is no key\n')
        relay.configure(TEXT % (good.address, '; dnssec on; trust_anchor %s' % anchor, sink.port))
        relay.command('reload', check=False)
        wait_for(lambda: 'cannot set up the resolver' in relay.text())
        assert not sink.messages
        relay.configure(TEXT % (good.address, '', sink.port))
        relay.command('reload')
        wait_for(lambda: len(sink.messages) == 1, 60)


def test_one_that_cannot_be_used_ends_the_start(make_relay, tmp_path):
    anchor = tmp_path / 'anchor'
    anchor.write_text('this is no key\n')
    relay = make_relay(TEXT % ('127.0.0.1:53', '; dnssec on; trust_anchor %s' % anchor, 25), start=False)
    p = subprocess.run([BINARY, 'run', '-c', relay.conf], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert p.returncode == 1
    assert 'cannot set up the resolver: the DNS library cannot start' in p.stderr
