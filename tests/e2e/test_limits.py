"""Limits and the rules of providers, seen from the exchanger: never more than allowed, and nothing lost or bounced by waiting."""
import threading, time

from internet import RULES, SENDER_ZONE, got, mx_relay, notices, submit, windows
from relevo import wait_for

ZONE = 'dest MX 10 a\na A 127.0.77.1\n'


def test_rate(make_relay, make_names, exchangers):
    """3 messages in any second to one domain; another domain is not held back."""
    times, other = [], []

    def script(stage, argument, session):
        if stage == 'rcpt':
            (times if 'slow.' in argument else other).append(time.monotonic())
    port, (sink,) = exchangers(1, [script])
    names = make_names('example', 'slow MX 10 a\nfast MX 10 a\na A 127.0.77.1\n')
    relay = mx_relay(make_relay, names, port, rules='limit 3/s messages to domain slow.example\n' + RULES)
    start = time.monotonic()
    submit(relay, ['u@slow.example'], 12)
    submit(relay, ['u@fast.example'], 12)
    wait_for(lambda: len(other) == 12, 5)
    assert time.monotonic() - start < 3
    wait_for(lambda: len(times) == 12, 20)
    assert windows(times, 0.9) <= 3, [t - start for t in times]     # a little less: the way to the sink is not always as long
    assert times[-1] - times[0] >= 2.9
    assert not relay.events('deferred')         # waiting is no attempt


def test_recipients_and_bytes(make_relay, make_names, exchangers):
    """Limits of recipients and of octets; several at once: the strictest holds."""
    times = []

    def script(stage, argument, session):
        if stage == 'rcpt':
            times.append(time.monotonic())
    port, (sink,) = exchangers(1, [script])
    relay = mx_relay(make_relay, make_names('example', ZONE), port,
                     rules='limit 6/s recipients per destination\nlimit 100/s messages per destination\n'
                           'limit 10M/s bytes per destination\n' + RULES)
    for i in range(8):
        submit(relay, ['u@dest.example', 'v@dest.example', 'w@dest.example'])
    wait_for(lambda: len(times) == 24, 20)
    assert windows(times, 0.9) <= 6 and times[-1] - times[0] >= 2.9
    assert not relay.events('deferred')


def test_connections_of_a_provider(make_relay, make_names, exchangers):
    """Many domains at one provider share its connections."""
    most, lock = [0], threading.Lock()
    port, (sink,) = exchangers(1, [lambda stage, argument, session: watch(stage)])

    def watch(stage):
        with lock:
            most[0] = max(most[0], len(sink.open))
        if stage == 'end':
            time.sleep(0.05)
    names = make_names('example', ''.join('d%d MX 10 in.hoster\n' % i for i in range(30)) + 'in.hoster A 127.0.77.1\n')
    rules = 'provider hoster {\n\tmx .hoster.example\n}\nlimit 4 connections to provider hoster\n' + RULES
    relay = mx_relay(make_relay, names, port, rules=rules)
    for i in range(30):
        submit(relay, ['u@d%d.example' % i], 3)
    wait_for(lambda: len(got(sink)) == 90, 40)
    assert 2 <= most[0] <= 4, most
    assert not relay.events('deferred')


def test_messages_of_a_connection(make_relay, make_names, exchangers):
    per = {}

    def script(stage, argument, session):
        if stage == 'mail':
            per[id(session)] = per.get(id(session), 0) + 1
            kept.append(session)
    kept = []       # so that no id comes twice
    port, (sink,) = exchangers(1, [script])
    relay = mx_relay(make_relay, make_names('example', ZONE), port,
                     rules='limit 3 messages per connection to domain dest.example\nlimit 1 connections per destination\n' + RULES)
    submit(relay, ['u@dest.example'], 10)
    wait_for(lambda: len(got(sink)) == 10, 20)
    assert max(per.values()) == 3 and len(per) == 4, per


def test_too_fast(make_relay, make_names, exchangers):
    """"Too fast" slows down and the mail arrives all the same; the log says why; it recovers."""
    times, refused = [], []

    def script(stage, argument, session):
        if stage == 'mail':
            times.append(time.monotonic())
            if sum(t > times[-1] - 2 for t in times) > 15:
                refused.append(times[-1])
                return '450 4.7.28 our system has detected an unusual rate of mail'
    port, (sink,) = exchangers(1, [script])
    rules = 'provider strict {\n\tdomain dest.example\n\ton status 4.7.28 then slow\n}\n' + RULES
    relay = mx_relay(make_relay, make_names('example', ZONE), port, rules=rules)
    submit(relay, ['u@dest.example'], 60)
    wait_for(lambda: len(got(sink)) == 60, 60)
    assert refused and len(refused) < 120, len(refused)      # what is refused counts there, too
    slowed = relay.events('slowed')
    assert slowed and 'unusual rate' in str(slowed) and relay.events('reacted')
    assert not relay.events('bounced')


def test_bounce_and_defer_by_rule(make_relay, make_names, exchangers):
    """A rule turns a refusal that is no use trying again into a failure, and the other way round."""
    tries = []

    def script(stage, argument, session):
        if stage == 'rcpt' and 'dead@' in argument:
            return '450 4.2.1 this mailbox is closed for ever'
        if stage == 'rcpt' and 'alive@' in argument:
            tries.append(argument)
            return '550 5.7.0 too many for now, come back' if len(tries) < 3 else None
    port, (sink,) = exchangers(1, [script])
    rules = ('provider odd {\n\tdomain dest.example\n\ton matches "closed for ever" then bounce\n'
             '\ton reply 550 matches "come back" then defer 1s\n}\n' + RULES)
    relay = mx_relay(make_relay, make_names('example', SENDER_ZONE + ZONE), port, rules=rules)
    submit(relay, ['dead@dest.example'])
    submit(relay, ['alive@dest.example'])
    wait_for(lambda: len(got(sink)) == 1 and notices(sink), 30)
    assert len(relay.events('bounced')) == 1 and len(tries) == 3


def test_pause_by_rule(make_relay, make_names, exchangers):
    """A pause keeps everything away for its time, and no longer."""
    times = []

    def script(stage, argument, session):
        if stage == 'mail':
            times.append(time.monotonic())
            return '451 4.7.650 mailbox provider is overloaded, wait' if len(times) == 1 else None
    port, (sink,) = exchangers(1, [script])
    rules = 'provider odd {\n\tdomain dest.example\n\ton status 4.7.650 then pause 3s\n}\n' + RULES
    relay = mx_relay(make_relay, make_names('example', ZONE), port, rules=rules)
    submit(relay, ['u@dest.example'])
    relay.wait_event('paused')
    submit(relay, ['u@dest.example'], 5)
    wait_for(lambda: len(got(sink)) == 6, 20)
    assert 2.8 <= times[1] - times[0] < 6, [t - times[0] for t in times]
