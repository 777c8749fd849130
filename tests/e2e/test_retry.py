"""When mail is tried again, and until when: overrides of rules and routes, expiry, notices of delay, resting destinations."""
import time

from internet import RULES, SENDER_ZONE, Switch, got, mx_relay, notices, submit
from relevo import wait_for

ZONE = SENDER_ZONE + 'dest MX 10 a\na A 127.0.77.2\n'


def later(stage, argument, session):
    return '450 4.2.0 later' if stage == 'rcpt' and '@dest' in argument else None


def test_overrides_of_a_rule(make_relay, make_names, exchangers):
    """One rule's mail is given up after 3 seconds, to the second; the other's goes on."""
    port, (home, _) = exchangers(2, [None, later])
    rules = ('accept from local sender urgent@client.example to any via mx {\n\tretry 1s\n\tgive_up_after 3s\n\twarn_after 1s\n}\n' + RULES)
    relay = mx_relay(make_relay, make_names('example', ZONE + 'urgent MX 10 home.client\n'), port, rules=rules)
    start = time.monotonic()
    submit(relay, ['u@dest.example'], sender='urgent@client.example')
    submit(relay, ['u@dest.example'])
    relay.wait_event('bounced', 1, 10)
    took = time.monotonic() - start
    assert 2.9 < took < 4, took
    wait_for(lambda: len(notices(home)) == 2, 10)    # delayed, then failed
    first, second = (m.content.decode() for m in notices(home))
    assert 'Action: delayed' in first and 'Action: failed' in second
    time.sleep(1)
    assert len(relay.events('bounced')) == 1 and len(notices(home)) == 2


def test_one_notice_of_delay(make_relay, make_names, exchangers):
    """A message that is tried many times is told to be late once."""
    port, (home, dest) = exchangers(2, [None, later])
    relay = mx_relay(make_relay, make_names('example', ZONE), port, '\tretry 1s\n\twarn_after 2s\n')
    submit(relay, ['u@dest.example', 'v@dest.example'])
    wait_for(lambda: notices(home), 10)
    relay.wait_event('deferred', 10, 20)
    assert len(notices(home)) == 1
    told = notices(home)[0].content.decode()
    assert told.count('Action: delayed') == 2 and 'u@dest.example' in told and 'v@dest.example' in told


def test_new_mail_at_a_resting_destination(make_relay, make_names, exchangers):
    """While a destination rests, new mail does not knock: only its schedule does."""
    down = Switch('connect', '421 4.3.2 down', on=True)
    port, (_, dest) = exchangers(2, [None, down])
    relay = mx_relay(make_relay, make_names('example', ZONE), port, '\tretry 4s\n')
    submit(relay, ['u@dest.example'])
    relay.wait_event('destination-rests')
    seen = dest.sessions
    submit(relay, ['u@dest.example'], 30)
    time.sleep(2)
    assert dest.sessions == seen
    down.on = False
    wait_for(lambda: len(got(dest)) == 31, 15)


def test_back_off_is_of_the_destination(make_relay, make_names, exchangers):
    """200 messages wait for one that is down: each round is one or two connections, not 200."""
    down = Switch('connect', '421 4.3.2 down', on=True)
    port, (_, dest) = exchangers(2, [None, down])
    relay = mx_relay(make_relay, make_names('example', ZONE), port, '\tretry 1s\n')
    submit(relay, ['u@dest.example'], 200)
    relay.wait_event('destination-rests', 4, 20)
    rounds = len(relay.events('destination-rests'))
    assert dest.sessions <= 25 + 3 * rounds, (dest.sessions, rounds)     # those under way when it was seen first, then a probe
    down.on = False
    wait_for(lambda: len(got(dest)) == 200, 20)
