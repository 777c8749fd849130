"""Sources: each has its address and its name; pools share by weight; refusal, and warm-up."""
import socket, threading, time

from internet import RULES, got, mx_relay, submit
from relevo import free_port, wait_for

NAMES = 'dest MX 10 a\nother MX 10 b\na A 127.0.77.1\nb A 127.0.77.2\n'
TWO = '''source one address 127.0.66.1 helo one.relay.example
source two address 127.0.66.2 helo two.relay.example
pool both {
	source one weight 3
	source two weight 1
}
'''


class Watch:
    """A sink's script that counts the names by which it was greeted for each transaction, and can refuse one of them."""

    def __init__(self, stage='mail', refusal=None):
        self.names, self.stage, self.refusal, self.lock = [], stage, refusal, threading.Lock()
        self.refused = None

    def __call__(self, stage, argument, session):
        if stage == 'ehlo':
            session['helo'] = argument.split()[1]
        if stage == self.stage and self.refused and session['helo'] == self.refused:
            return self.refusal
        if stage == 'end':
            with self.lock:
                self.names.append(session['helo'])

    def count(self, name):
        return self.names.count(name)


def test_pool_and_refusal(make_relay, make_names, exchangers):
    """The pool shares by weight; a source that is refused rests at that destination, and another takes over at once."""
    watch, elsewhere = Watch(refusal='550 5.7.1 your address is on our blocklist'), Watch()
    port, (sink, other) = exchangers(2, [watch, elsewhere])
    rules = TWO + 'provider dest {\n\tdomain dest.example\n\ton reply 550 matches "blocklist" then other-source 1h\n}\n' + RULES
    relay = mx_relay(make_relay, make_names('example', NAMES), port, '\tsource both\n\tmessages 1\n\tconnections 4\n', rules)
    submit(relay, ['u@dest.example'], 60)
    wait_for(lambda: len(got(sink)) == 60, 20)
    one, two = watch.count('one.relay.example'), watch.count('two.relay.example')
    # 45 and 15 on average; the bounds are 4 standard deviations away
    assert one + two == 60 and 31 < one < 59, (one, two)
    watch.refused = 'one.relay.example'
    submit(relay, ['u@dest.example'], 20)
    wait_for(lambda: len(got(sink)) == 80, 20)
    assert watch.count('two.relay.example') == two + 20
    assert not relay.events('bounced') and relay.events('reacted') and relay.events('paused')
    submit(relay, ['u@other.example'], 20)      # there it does not rest
    wait_for(lambda: len(got(other)) == 20, 20)
    assert elsewhere.count('one.relay.example') >= 5


def test_address_of_a_source(make_relay, make_names):
    """Connections come from the source's address; a rule's source wins over the route's."""
    port = free_port('127.0.77.1')
    rules = TWO + 'accept from local sender x@client.example to any via mx {\n\tsource two\n}\n' + RULES
    relay = mx_relay(make_relay, make_names('example', NAMES), port, '\tsource one\n', rules)
    with socket.create_server(('127.0.77.1', port)) as server:
        server.settimeout(10)
        for sender, address in (('a@client.example', '127.0.66.1'), ('x@client.example', '127.0.66.2')):
            submit(relay, ['u@dest.example'], sender=sender)
            s, peer = server.accept()
            s.close()
            assert peer[0] == address


def test_warm_up(make_relay, make_names, exchangers):
    """A new source sends its daily share, the rest goes by the overflow; a restart does not begin the day anew."""
    watch = Watch()
    port, (sink, _) = exchangers(2, [watch])
    day = time.strftime('%Y-%m-%d', time.gmtime())
    rules = ('source fresh address 127.0.66.1 helo fresh.example {\n\twarm_up from %s 7 7 7 overflow old\n}\n'
             'source old address 127.0.66.2 helo old.example\n' % day + RULES)
    relay = mx_relay(make_relay, make_names('example', NAMES), port, '\tsource fresh\n\tmessages 1\n', rules)
    submit(relay, ['u@dest.example'], 20)
    wait_for(lambda: len(got(sink)) == 20, 20)
    assert watch.count('fresh.example') == 7 and watch.count('old.example') == 13, watch.names
    assert not relay.events('deferred')
    relay.stop()
    relay.start()
    submit(relay, ['u@dest.example'], 5)
    wait_for(lambda: len(got(sink)) == 25, 20)
    assert watch.count('fresh.example') == 7


def test_source_that_cannot_be_used(make_relay, make_names, exchangers):
    """An address that this machine has not: mail waits, and the log says which source it is."""
    port, (sink, _) = exchangers(2)
    rules = 'source away address 203.0.113.9 helo away.example\n' + RULES
    relay = mx_relay(make_relay, make_names('example', NAMES), port, '\tsource away\n', rules)
    submit(relay, ['u@dest.example'])
    paused = relay.wait_event('paused')[0]
    assert paused['source'] == 'away' and "source's address cannot be used" in paused['why']
    assert '203.0.113.9' in str(relay.events('warning'))
    assert not relay.events('bounced') and not sink.sessions
