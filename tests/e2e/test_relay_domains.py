"""A domain whose own server is behind the relay: its mail while that server is away, when it is back, when it asks (ETRN); its quota."""
import re

import pytest

from relevo import PATIENCE, Sink, free_port, wait_for

PRIMARY = '''queue {
	retry 1h
}
route primary {
	host 127.0.0.1:%d
	tls off
	connections 1
	%s
}
accept from any to domain ours.example via primary
'''


class Primary:
    """A server that can be away; while it has trouble all it says is "later"."""

    def __init__(self, make_sink):
        self.make_sink, self.port, self.trouble = make_sink, free_port(), False
        self.sink, self.order = None, []

    def script(self, at, argument, session):
        return '451 4.3.0 not now' if at == 'rcpt' and self.trouble else None

    def start(self):
        self.sink = self.make_sink(self.script, port=self.port)

    def stop(self):
        self.sink.close()
        self.order, self.sink = self.subjects(), None

    def subjects(self):
        new = [int(re.search(rb'Subject: (\d+)', m.content)[1]) for m in self.sink.messages] if self.sink else []
        return self.order + new


@pytest.fixture
def primary(make_sink):
    return Primary(make_sink)


def submit(relay, numbers, to='u@ours.example'):
    c = relay.client()
    c.hello()
    for n in numbers:
        assert c.mail(b'Subject: %d\r\n\r\nx\r\n' % n, to=[to])[0] == 250
    c.close()


def etrn(relay, what):
    c = relay.client()
    c.hello()
    answer = c.cmd('ETRN ' + what)
    c.close()
    return answer


def deferred(relay, n):
    wait_for(lambda: len(relay.events('deferred')) >= n, 60)


def test_etrn_after_an_outage(make_relay, primary):
    """The primary comes back and asks for what waits for it."""
    relay = make_relay(PRIMARY % (primary.port, 'etrn from 127.0.0.0/8'))
    c = relay.client()
    assert 'ETRN' in c.hello()
    c.close()
    assert etrn(relay, 'ours.example')[0] == 251
    submit(relay, range(3))
    relay.wait_event('destination-rests')
    assert etrn(relay, 'elsewhere.example')[0] == 459
    primary.start()
    code, text = etrn(relay, 'ours.example')
    assert code == 253 and '3 pending' in text
    wait_for(lambda: primary.subjects() == [0, 1, 2], 20)


def test_etrn_for_what_was_deferred(make_relay, make_sink, primary):
    """All that it had deferred flows when it asks, in order of arrival, whatever the number; mail for others stays."""
    other = make_sink(lambda at, *rest: '451 4.3.0 not now' if at == 'rcpt' else None)
    relay = make_relay(PRIMARY % (primary.port, 'etrn from 127.0.0.0/8') + '''route other {
	host 127.0.0.1:%d
	tls off
}
accept from any to domain other.example via other
''' % other.port)
    primary.trouble = True
    primary.start()
    submit(relay, range(2500))
    submit(relay, [0], to='u@other.example')
    deferred(relay, 2501)
    primary.trouble = False
    code, text = etrn(relay, '@ours.example')
    assert code == 253 and '2500 pending' in text
    wait_for(lambda: len(primary.subjects()) == 2500, 60)
    assert primary.subjects() == list(range(2500))
    assert other.messages == [] and len(relay.events('deferred')) == 2501


def test_back_by_itself(make_relay, primary):
    """Deferred, then away, then back: found within a minute, and what it had deferred does not wait for the next hour."""
    relay = make_relay(PRIMARY % (primary.port, ''))
    primary.trouble = True
    primary.start()
    submit(relay, range(20))
    deferred(relay, 20)
    primary.stop()
    submit(relay, range(20, 40))
    relay.wait_event('destination-rests', seconds=20)
    primary.trouble = False
    primary.start()
    wait_for(lambda: len(primary.subjects()) == 40, 60)
    # the first one by which it was seen that it is back, then all others in order of arrival
    assert primary.subjects() == [20] + list(range(20)) + list(range(21, 40))


def test_quota(make_relay, primary):
    """A quota of messages and octets; one that a reload brings counts what waits, one that is raised or dropped takes effect."""
    def accepted(size=0):
        c = relay.client()
        c.hello()
        c.cmd('MAIL FROM:<a@b.example>' + (' SIZE=%d' % size if size else ''))
        code, text = c.cmd('RCPT TO:<u@ours.example>')
        c.close()
        assert code == 250 or (code == 452 and text.startswith('4.2.2'))
        return code == 250

    def reload(quota):
        relay.configure(PRIMARY % (primary.port, quota))
        relay.command('reload')

    relay = make_relay(PRIMARY % (primary.port, ''))
    submit(relay, range(5))
    assert accepted()
    reload('quota 5 messages')
    wait_for(lambda: not accepted(), 5)
    reload('quota 6 messages')
    wait_for(accepted, 5)
    reload('quota 1K')
    wait_for(lambda: not accepted(2000), 5)
    reload('quota 10K 5 messages')
    wait_for(lambda: not accepted(), 5)
    reload('')
    wait_for(accepted, 5)
    reload('quota 1M 5 messages')
    wait_for(lambda: not accepted(), 5)
    relay.stop()
    relay.start()
    wait_for(lambda: not accepted(), 5)
    primary.start()
    wait_for(lambda: len(primary.subjects()) == 5, 60)
    wait_for(accepted, 5)
