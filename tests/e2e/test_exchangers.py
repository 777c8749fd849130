"""Real mail exchangers: Postfix and smtp-sink on loopback addresses, and `relevo sink` that behaves like throttling providers."""
import os, shutil, subprocess

import pytest

from internet import RULES, mx_relay, submit, windows
from relevo import free_port, wait_for


def test_postfix(make_relay, make_names, make_postfix):
    """Debian's Postfix takes the mail of two domains on two addresses, and refuses a third's."""
    postfix = make_postfix(addresses=['127.0.77.11', '127.0.77.12'], domains=['one.example', 'two.example'])
    names = make_names('example', 'one MX 10 a\ntwo MX 10 b\nthree MX 10 b\na A 127.0.77.11\nb A 127.0.77.12\n')
    relay = mx_relay(make_relay, names, postfix.port)
    for i in range(10):
        submit(relay, ['u%d@one.example' % i, 'u%d@two.example' % i])
    wait_for(lambda: len(postfix.delivered()) == 20, 30)
    assert sorted(postfix.delivered()) == sorted('u%d@%s.example' % (i, d) for i in range(10) for d in ('one', 'two'))
    submit(relay, ['u@three.example'], sender='')
    assert 'Relay access denied' in relay.wait_event('bounced')[0]['reply']


def test_postfix_that_throttles(make_relay, make_names, make_postfix):
    """Postfix's anvil allows 15 messages a minute from one client, then says 450 4.7.1: slowed down, nothing lost or bounced."""
    postfix = make_postfix(addresses=['127.0.77.13'], domains=['one.example'],
                           more='smtpd_client_message_rate_limit = 15\nanvil_rate_time_unit = 4s\nsmtpd_client_event_limit_exceptions =\n')
    names = make_names('example', 'one MX 10 a\na A 127.0.77.13\n')
    rules = 'provider one {\n\tdomain one.example\n\ton matches "too much mail" then slow\n}\n'
    relay = mx_relay(make_relay, names, postfix.port, rules=rules + RULES)
    submit(relay, ['u@one.example'], 40)
    wait_for(lambda: len(postfix.delivered()) == 40, 60)
    assert relay.events('slowed') and not relay.events('bounced')


def test_smtp_sink(make_relay, make_names):
    """Postfix's smtp-sink on two addresses, one of which refuses every MAIL for now: the other gets all."""
    program = shutil.which('smtp-sink', path=os.environ.get('PATH', '') + ':/usr/sbin')
    if not program:
        pytest.fail('smtp-sink is not installed: run tools/deps')
    port, sinks = free_port('127.0.77.21'), []
    user = ['-u', 'nobody'] if os.getuid() == 0 else []
    try:
        for host, options in (('127.0.77.21', ['-r', 'MAIL']), ('127.0.77.22', ['-c'])):
            sinks.append(subprocess.Popen([program, *options, *user, '%s:%d' % (host, port), '100'], stdout=subprocess.PIPE))
        names = make_names('example', 'dest MX 10 a\ndest MX 20 b\na A 127.0.77.21\nb A 127.0.77.22\n')
        relay = mx_relay(make_relay, names, port)
        submit(relay, ['u@dest.example'], 20)
        relay.wait_event('done', 20, 20)
        assert all('127.0.77.22' in str(e) for e in relay.events('relayed')) and not relay.events('bounced')
    finally:
        for s in sinks:
            s.terminate()
            s.wait()
            s.stdout.close()


def provider_relay(make_relay, make_names, port, domains=10, rules='', more=''):
    """A relay, and so many domains at one provider, at 127.0.77.31; rules: lines of its block."""
    names = make_names('example', ''.join('d%d MX 10 in.hoster\n' % i for i in range(domains)) + 'in.hoster A 127.0.77.31\n')
    return mx_relay(make_relay, names, port, rules='provider hoster {\n\tmx .hoster.example\n%s}\n' % rules + more + RULES)


def send_all(relay, n, domains=10):
    for i in range(domains):
        submit(relay, ['u@d%d.example' % i], n // domains)


def test_throttling_provider(make_relay, make_names, make_provider):
    """A provider of ten domains allows 20 transactions a second and 3 connections; it is learnt, and all arrive."""
    port = free_port('127.0.77.31')
    provider = make_provider('127.0.77.31', port, '--rate', '20/s', '--connections-max', '3', '--rate-reply', '450 4.7.28 too fast')
    relay = provider_relay(make_relay, make_names, port, rules='\ton status 4.7.28 then slow\n')
    send_all(relay, 200)
    relay.wait_event('done', 200, 60)
    assert relay.events('slowed') and not relay.events('bounced')
    told = provider.told()
    assert told['messages'] == 200, told


def test_greylisting_provider(make_relay, make_names, make_provider):
    port = free_port('127.0.77.31')
    provider = make_provider('127.0.77.31', port, '--greylist', '2s')
    relay = provider_relay(make_relay, make_names, port)
    send_all(relay, 10)
    relay.wait_event('done', 10, 30)
    assert len(relay.events('deferred')) >= 10 and not relay.events('bounced')
    assert provider.told()['messages'] == 10


def test_limits_hold_at_the_provider(make_relay, make_names, make_provider):
    """What the provider counted by itself: never more than our limits allow."""
    port = free_port('127.0.77.31')
    provider = make_provider('127.0.77.31', port, '--window', '1s')
    relay = provider_relay(make_relay, make_names, port, rules='\tconnections 4\n', more='limit 25/s messages per provider\n')
    send_all(relay, 100)
    relay.wait_event('done', 100, 30)
    told = provider.told()
    assert told['messages'] == 100 and told['connections_peak'] <= 4, told
    starts = sorted(int(line.split()[0]) for line in provider.lines())
    assert len(starts) == 100
    # a little less than a second: the way to the sink is not always as long
    assert windows(starts, 900) <= 25, starts
