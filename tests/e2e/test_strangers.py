"""Strangers: DNS lists, names, greylisting and limits of a running relay, with a name server that says what the test wants.

Everyone here is local, so clients come "through a proxy" (PROXY protocol) from the addresses that they are to have.
"""
import contextlib, time

import pytest

import dns
from relevo import Client, Sink, free_port, wait_for

pytestmark = pytest.mark.skipif(not dns.available(), reason='nsd is not installed')

TEXT = '''resolver %s { timeout 2s }
route next { host 127.0.0.1:%d }
accept from any to domain ours.example via next
'''
LISTEN = '''listen 127.0.0.1:%d {
	proxy from 127.0.0.0/8
	dns_list block.example weight 2; dns_list allow.example weight 5 allow
	%s
}
'''


@pytest.fixture
def zone():
    with dns.Scripted() as s:
        s.on('2.0.0.127.block.example', records=[('A', '127.0.0.2')])
        s.on('2.0.0.127.allow.example', records=[('A', '127.0.0.2')])
        s.on('9.2.0.192.block.example', records=[('A', '127.0.0.4'), ('TXT', 'see http://block.example/')])
        s.on('8.2.0.192.block.example', records=[('A', '127.0.0.4')])
        s.on('8.2.0.192.allow.example', records=[('A', '127.0.0.2')])
        s.on('7.2.0.192.block.example', silent=True)
        s.on('6.2.0.192.block.example', records=[('A', '127.255.255.254')])
        s.on('1.2.0.192.in-addr.arpa', records=[('PTR', 'mail.good.example')])
        s.on('mail.good.example', records=[('A', '192.0.2.1')])
        s.on('2.2.0.192.in-addr.arpa', records=[('PTR', 'mail.good.example')])
        yield s


def start(make_relay, zone, sink, words='', more=''):
    port = free_port()
    relay = make_relay(TEXT % (zone.address, sink.port) + LISTEN % (port, words) + more)
    relay.proxied = port
    return relay


def come_from(relay, ip, helo='mail.good.example'):
    c = Client(relay.proxied, greet=False)
    c.send('PROXY TCP4 %s 192.0.2.250 1000 25\r\n' % ip)
    assert c.reply()[0] == 220
    assert c.cmd('EHLO ' + helo)[0] == 250
    return c


def rcpt(relay, ip, to='b@ours.example', sender='a@a.example', helo='mail.good.example'):
    c = come_from(relay, ip, helo)
    assert c.cmd('MAIL FROM:<%s>' % sender)[0] == 250
    answer = c.cmd('RCPT TO:<%s>' % to)
    c.close()
    return answer


def test_lists(make_relay, zone):
    with contextlib.closing(Sink()) as sink:
        relay = start(make_relay, zone, sink)
        code, text = rcpt(relay, '192.0.2.9')
        assert (code, text) == (550, '5.7.1 Mail from 192.0.2.9 is refused: block.example: 127.0.0.4 (see http://block.example/)')
        assert rcpt(relay, '192.0.2.9', to='postmaster@ours.example')[0] == 250
        assert rcpt(relay, '192.0.2.8')[0] == 250       # the allow list weighs more
        assert rcpt(relay, '192.0.2.6')[0] == 250       # an error code is no listing
        assert rcpt(relay, '192.0.2.100')[0] == 250
        began = time.monotonic()
        assert rcpt(relay, '192.0.2.7')[0] == 250       # no answer counts for nothing
        assert time.monotonic() - began < 15


def test_dead_list(make_relay, zone):
    with contextlib.closing(Sink()) as sink:
        zone.on('1.0.0.127.block.example', records=[('A', '127.0.0.2')])
        relay = start(make_relay, zone, sink)
        assert rcpt(relay, '192.0.2.9')[0] == 250
        wait_for(lambda: 'it is ignored' in relay.text())


def test_names(make_relay, zone):
    with contextlib.closing(Sink()) as sink:
        relay = start(make_relay, zone, sink, 'reverse_name matching; helo_check resolves')
        assert rcpt(relay, '192.0.2.1')[0] == 250
        code, text = rcpt(relay, '192.0.2.2')
        assert code == 550 and text.startswith('5.7.25 ') and 'lead back' in text
        code, text = rcpt(relay, '192.0.2.3')
        assert code == 550 and text.startswith('5.7.25 ') and 'no name' in text
        code, text = rcpt(relay, '192.0.2.1', helo='nowhere.example')
        assert code == 550 and 'does not exist' in text


def test_greylist_is_kept(make_relay, zone):
    with contextlib.closing(Sink()) as sink:
        relay = start(make_relay, zone, sink, 'greylist delay 2s')
        code, text = rcpt(relay, '192.0.2.1')
        assert code == 450 and text.startswith('4.7.1 Greylisted: try again in 2 seconds')
        assert rcpt(relay, '192.0.2.1', sender='other@a.example')[0] == 450
        time.sleep(2.1)
        relay.stop()
        relay.start()
        assert rcpt(relay, '192.0.2.1')[0] == 250
        assert rcpt(relay, '192.0.2.1', sender='third@a.example')[0] == 450


def test_limits(make_relay, zone):
    with contextlib.closing(Sink()) as sink:
        relay = start(make_relay, zone, sink, more='limit 2 connections per client\nlimit 3/min recipients per client-network\n')
        a, b = come_from(relay, '192.0.2.20'), come_from(relay, '192.0.2.20')
        third = Client(relay.proxied, greet=False)
        third.send('PROXY TCP4 192.0.2.20 192.0.2.250 1000 25\r\n')
        assert third.reply()[0] == 421
        a.close(), b.close()
        for i in range(4):
            code, text = rcpt(relay, '192.0.2.%d' % (30 + i))
            assert code == (250 if i < 3 else 450), text
        assert text.startswith('4.7.1 Too many recipients from you')
        assert rcpt(relay, '192.0.3.1')[0] == 250
