"""Where mail by MX goes: a real name server, exchangers on several loopback addresses, and everything that DNS can say."""
import re, socket, time

import pytest

from internet import RULES, SENDER_ZONE, Switch, got, mx_relay, notices, recipients, submit
from relevo import wait_for

OURS = '127.0.88.1'         # what the relay is told is its own address


def test_preference_and_fall_back(make_relay, make_names, exchangers):
    """The best exchanger gets all; while it refuses, the next; equals share."""
    busy = Switch('connect', '421 4.3.2 busy')
    port, (first, second, third) = exchangers(3, [busy])
    names = make_names('example', 'dest MX 20 b.dest\ndest MX 10 a.dest\na.dest A 127.0.77.1\nb.dest A 127.0.77.2\n'
                                  'even MX 10 x.even\neven MX 10 y.even\nx.even A 127.0.77.2\ny.even A 127.0.77.3\n')
    relay = mx_relay(make_relay, names, port, '\tmessages 1\n')
    submit(relay, ['u@dest.example'], 3)
    wait_for(lambda: len(got(first)) == 3)
    assert not second.sessions
    busy.on = True
    submit(relay, ['u@DEST.example'], 3)
    wait_for(lambda: len(got(second)) == 3)
    assert not relay.events('deferred') and not relay.events('destination-rests')
    submit(relay, ['u@even.example'], 40)
    wait_for(lambda: len(got(second)) + len(got(third)) == 43)
    # a fair coin gives fewer than 8 of 40 once in 90,000 runs
    assert len(got(second)) - 3 >= 8 and len(got(third)) >= 8, (len(got(second)) - 3, len(got(third)))


@pytest.mark.parametrize('domain, status', [
    ('nowhere.example', '5.1.2'),            # no such name
    ('null.example', '5.1.10'),              # RFC 7505
    ('empty.example', '5.4.4'),              # the name exists, with neither MX nor address
    ('loop.example', '5.4.6'),               # the best exchanger is this relay, by address
    ('loopname.example', '5.4.6'),           # the same, by name
])
def test_permanent(make_relay, make_names, exchangers, domain, status):
    """What the DNS says for good fails at once, without an attempt to connect, and the notice says why."""
    port, (home,) = exchangers(1)
    names = make_names('example', SENDER_ZONE + 'null MX 0 .\nempty TXT "nothing here"\nloop MX 10 me.loop\nloop MX 20 home.client\n'
                                  'me.loop A %s\nloopname MX 5 relay.test\nloopname MX 10 home.client\nrelay.test A 127.0.77.1\n' % OURS)
    relay = mx_relay(make_relay, names, port, rules='self %s\n' % OURS + RULES)
    submit(relay, ['u@' + domain])
    wait_for(lambda: notices(home), 15)
    text = notices(home)[0].content.decode()
    assert 'Status: ' + status in text and 'u@' + domain in text, text
    assert not got(home)


@pytest.mark.parametrize('how', [{'rcode': 2}, {'rcode': 5}, {'silent': True}, {'garbage': True}, {'lame': True}, {'wrong_id': True},
                                 {'truncated': True, 'tcp': False}], ids=lambda how: '-'.join(how))
def test_temporary(make_relay, make_scripted, exchangers, how):
    """A name server that fails, is silent, refuses, or talks nonsense never bounces: mail waits, and goes when it answers."""
    port, (home,) = exchangers(1)
    names = make_scripted()
    right = {'records': [('A', '127.0.77.1')]}
    names.on('*', **dict(right, **how))
    relay = mx_relay(make_relay, names, port)
    submit(relay, ['u@dest.example'])
    relay.wait_event('destination-rests', 1, 25)
    assert not relay.events('bounced') and not home.messages
    why = relay.wait_event('destination-rests')[0]['why']
    assert 'could not be looked up' in why, why
    names.on('*', **right)
    wait_for(lambda: got(home), 30)
    assert not relay.events('bounced')


def test_truncated_goes_by_tcp(make_relay, make_scripted, exchangers):
    port, (sink,) = exchangers(1)
    names = make_scripted()
    names.on('dest.example', records=[('MX', '10 in.dest.example')], truncated=True)
    names.on('in.dest.example', records=[('A', '127.0.77.1')], truncated=True)
    relay = mx_relay(make_relay, names, port)
    submit(relay, ['u@dest.example'])
    wait_for(lambda: got(sink))
    assert {(n, over) for n, _, over in names.asked if over == 'tcp'} == {('dest.example', 'tcp'), ('in.dest.example', 'tcp')}


def test_recovers(make_relay, make_names, exchangers):
    """The name server was down when the mail came."""
    port, (home,) = exchangers(1)
    names = make_names('example', 'dest MX 10 a.dest\na.dest A 127.0.77.1\n', start=False)
    relay = mx_relay(make_relay, names, port)
    submit(relay, ['u@dest.example'])
    relay.wait_event('destination-rests', 1, 25)
    names.start()
    wait_for(lambda: got(home), 40)
    assert not relay.events('bounced')


def test_exchanger_without_address(make_relay, make_names, exchangers):
    """One exchanger's name is gone: the other serves; when none has an address, mail waits."""
    port, (sink,) = exchangers(1)
    names = make_names('example', 'half MX 5 gone\nhalf MX 10 a\nnone MX 5 gone\na A 127.0.77.1\n')
    relay = mx_relay(make_relay, names, port)
    submit(relay, ['u@half.example'])
    wait_for(lambda: got(sink))
    submit(relay, ['u@none.example'])
    assert 'does not exist' in relay.wait_event('destination-rests')[0]['why']
    assert not relay.events('bounced')


def test_implicit_cname_literal(make_relay, make_names, exchangers):
    """Domains without MX, exchangers behind a CNAME, address literals, a domain in its own letters."""
    port, (sink,) = exchangers(1)
    names = make_names('example', 'plain A 127.0.77.1\nalias CNAME plain\nviaalias MX 5 alias\nxn--mller-kva MX 1 plain\n')
    sink.offers = ('PIPELINING', '8BITMIME', 'SMTPUTF8')
    relay = mx_relay(make_relay, names, port)
    plain = ['u@plain.example', 'u@alias.example', 'u@viaalias.example', 'u@[127.0.77.1]']
    for to in plain:
        submit(relay, [to])
    submit(relay, ['u@müller.example'], params=' SMTPUTF8')
    wait_for(lambda: len(got(sink)) == 5)
    assert sorted(recipients(sink)) == sorted(plain + ['u@müller.example'])


def test_backup_exchanger(make_relay, make_names, exchangers):
    """We are the backup MX: mail goes to those better than us only, never to us or those worse."""
    down = Switch('connect', '421 4.3.2 not now', on=True)
    port, (best, worse) = exchangers(2, [down])
    names = make_names('example', 'dest MX 10 best\ndest MX 20 me\ndest MX 20 beside\ndest MX 30 worse\nbest A 127.0.77.1\n'
                                  'me A %s\nbeside A 127.0.77.2\nworse A 127.0.77.2\n' % OURS)
    relay = mx_relay(make_relay, names, port, rules='self %s\n' % OURS + RULES)
    submit(relay, ['u@dest.example'])
    relay.wait_event('destination-rests', 1, 20)
    time.sleep(0.5)
    assert not worse.messages and not worse.sessions
    down.on = False
    wait_for(lambda: got(best), 20)


@pytest.mark.parametrize('how', ['broken', 'expired'])
def test_dnssec(make_relay, make_signed_names, exchangers, how):
    """A zone with wrong signatures is as if nobody answered; a sound one is fine."""
    port, (sink,) = exchangers(1)
    text = '@ MX 10 a\na A 127.0.77.1\n'
    names = make_signed_names('good.signed', 'bad.signed', text, how)
    relay = mx_relay(make_relay, names, port, options='dnssec on\n\ttrust_anchor ' + names.anchor)
    submit(relay, ['u@bad.signed'])
    relay.wait_event('destination-rests', 1, 25)
    assert 'DNSSEC' in relay.wait_event('destination-rests')[0]['why']
    submit(relay, ['u@good.signed'])
    wait_for(lambda: got(sink), 20)
    assert len(sink.messages) == 1 and not relay.events('bounced')


def test_one_message_many_domains(make_relay, make_names, exchangers):
    """1,000 recipients in 200 domains: one message in the spool, five recipients in each transaction."""
    port, (sink,) = exchangers(1)
    names = make_names('example', ''.join('d%d MX 10 all\n' % i for i in range(200)) + 'all A 127.0.77.1\n')
    relay = mx_relay(make_relay, names, port)
    relay.command('suspend', 'route', 'mx')
    submit(relay, ['u%d@d%d.example' % (i, i % 200) for i in range(1000)])
    count = relay.command('queue', 'count').stdout
    assert re.search(r'\b1 message', count), count
    assert len(relay.events('received')) == 1
    relay.command('resume', 'route', 'mx')
    wait_for(lambda: sum(len(m.rcpt) for m in list(sink.messages)) == 1000, 30)
    assert len(sink.messages) == 200 and all(len(m.rcpt) == 5 for m in sink.messages)
    wait_for(lambda: len(relay.events('done')) == 1)


# ---- both families

def ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(('::1', 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not ipv6(), reason='no IPv6 here')
@pytest.mark.parametrize('families, at_six', [('any', True), ('ipv6', True), ('ipv4', False)])
def test_families(make_relay, make_names, exchangers, families, at_six):
    port, (four, six) = exchangers(1, more=['::1'])
    names = make_names('example', 'dest MX 10 a\na A 127.0.77.1\na AAAA ::1\n')
    relay = mx_relay(make_relay, names, port, '\tfamilies %s\n' % families)
    submit(relay, ['u@dest.example'], 5)
    wait_for(lambda: len(got(four)) + len(got(six)) == 5)
    assert len(got(six if at_six else four)) == 5


@pytest.mark.skipif(not ipv6(), reason='no IPv6 here')
def test_fall_back_to_ipv4(make_relay, make_names, exchangers):
    """Nobody listens at the IPv6 address: the mail goes by IPv4 at once, without an attempt more."""
    port, (sink,) = exchangers(1)
    relay = mx_relay(make_relay, make_names('example', 'dest MX 10 a\na A 127.0.77.1\na AAAA ::1\n'), port, '\tmessages 1\n')
    submit(relay, ['u@dest.example'], 10)
    wait_for(lambda: len(got(sink)) == 10)
    assert not relay.events('deferred') and not relay.events('host-down')
    assert all(float(e['delay']) < 1 for e in relay.events('relayed'))


@pytest.mark.skipif(not ipv6(), reason='no IPv6 here')
def test_fall_back_is_remembered(make_relay, make_names, exchangers):
    """A server that hangs up by IPv6 and works by IPv4: after the first times it is reached by IPv4 alone."""
    port, (four, six) = exchangers(1, [None, lambda stage, *a: 'CUT' if stage == 'connect' else None], more=['::1'])
    relay = mx_relay(make_relay, make_names('example', 'dest MX 10 a\na A 127.0.77.1\na AAAA ::1\n'), port, '\tmessages 1\n')
    submit(relay, ['u@dest.example'])
    wait_for(lambda: len(got(four)) == 1)
    assert six.sessions == 1
    submit(relay, ['u@dest.example'], 20)
    wait_for(lambda: len(got(four)) == 21)
    assert six.sessions == 1 and four.sessions == 21
    assert not relay.events('deferred')


@pytest.mark.skipif(not ipv6(), reason='no IPv6 here')
def test_ipv6_only(make_relay, make_names, exchangers):
    """A domain with AAAA alone, and an IPv6 literal; a route that uses IPv4 alone cannot reach it, and says so."""
    port, (_, six) = exchangers(1, more=['::1'])
    names = make_names('example', 'dest AAAA ::1\n')
    rules = 'route old {\n\tmx\n\tport %d\n\tfamilies ipv4\n}\naccept from local sender old@client.example to any via old\n' % port
    relay = mx_relay(make_relay, names, port, rules=rules + RULES)
    submit(relay, ['u@dest.example', 'u@[IPv6:::1]'])
    wait_for(lambda: sorted(recipients(six)) == ['u@[IPv6:::1]', 'u@dest.example'])
    submit(relay, ['u@dest.example'], sender='old@client.example')
    assert 'family' in relay.wait_event('destination-rests')[0]['why']
