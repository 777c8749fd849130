"""REQUIRETLS (RFC 8689): through two relays of ours to a server with it or without, over a crash, in notices; TLS-Required: No."""
import pathlib, smtplib, ssl

import pytest

import certs, dns, test_dane
from relevo import PATIENCE, wait_for

CONF = '''queue { retry 1s }
resolver 127.0.0.1:1 { hosts %(folder)s/hosts }
tls {
	certificate %(certificate)s
	key %(key)s
	ca %(folder)s/ca.pem
}
route next {
	host %(next)s:%(port)d
	idle 1s
	%(more)s
}
route back {
	host %(back)s:%(back_port)d
	idle 1s
}
accept from local to domain client.example via back
accept from local to any via next
'''
SENDER, TEXT = 'a@client.example', 'Subject: s\r\nMessage-ID: <1@client.example>\r\n\r\nconfidential\r\n'
OFFERS = ('PIPELINING', '8BITMIME', 'SIZE 1000000', 'DSN', 'REQUIRETLS')


class World:
    """Relays with certificates of one authority, which they know; each trusts names by a hosts file."""

    def __init__(self, make_relay, make_sink, folder):
        self.make_relay, self.make_sink, self.ca = make_relay, make_sink, certs.Authority(folder / 'ca')

    def sink(self, name='mx.there.example', offers=OFFERS, tls=True, **kw):
        return self.make_sink(identity=self.ca.issue(name) if tls else None, offers=('PIPELINING', '8BITMIME'), offers_tls=offers, **kw)

    def relay(self, to, name='mx.there.example', back=None, more=''):
        identity = self.ca.issue(name)
        relay = self.make_relay('', start=False)
        folder = pathlib.Path(relay.folder)
        (folder / 'hosts').write_text('127.0.0.1 mx.there.example back.client.example\n')
        (folder / 'ca.pem').write_text(self.ca.read())
        back = back or to
        relay.configure(CONF % dict(folder=folder, certificate=identity.certificate, key=identity.key, next='mx.there.example',
                                    port=to.port, back='back.client.example', back_port=back.port, more=more))
        relay.start()
        return relay

    def submit(self, relay, options=('REQUIRETLS',), text=TEXT, sender=SENDER):
        with smtplib.SMTP('127.0.0.1', relay.port, timeout=20 * PATIENCE) as s:
            context = ssl.create_default_context(cafile=self.ca.certificate)
            context.check_hostname = False
            s.starttls(context=context)
            return s.sendmail(sender, ['b@dest.example'], text, mail_options=options)


@pytest.fixture
def world(make_relay, make_sink, tmp_path):
    return World(make_relay, make_sink, tmp_path)


def words_of(sink, n=1):
    """The parameters of each MAIL that brought a message."""
    wait_for(lambda: len(sink.messages) >= n)
    return [m.mail.split('>', 1)[1].split() for m in sink.messages]


def test_two_relays(world):
    sink = world.sink()
    second = world.relay(sink)
    first = world.relay(second)
    world.submit(first)
    assert 'REQUIRETLS' in words_of(sink)[0]
    for relay in (first, second):
        assert relay.wait_event('secured')[0]['verified'] == 'pkix'
    world.submit(first, options=())
    assert 'REQUIRETLS' not in words_of(sink, 2)[1]


def test_nothing_before_tls(world):
    relay = world.relay(world.sink())
    c = relay.client()
    assert 'REQUIRETLS' not in c.hello()
    code, text = c.cmd('MAIL FROM:<%s> REQUIRETLS' % SENDER)
    assert (code, text[:5]) == (555, '5.5.4')
    c.close()


@pytest.mark.parametrize('kind, status', [('without', '5.7.30'), ('no tls', '5.7.10'), ('another name', '5.7.10')])
@pytest.mark.parametrize('back_has_it', [True, False])
def test_a_third_that_cannot(world, kind, status, back_has_it):
    """A notice comes back from the second relay, with nothing of the message in it, whatever RET says."""
    third = world.sink(**{'without': dict(offers=('DSN',)), 'no tls': dict(tls=False), 'another name': dict(name='other.example')}[kind])
    back = world.sink('back.client.example', OFFERS if back_has_it else ('DSN',))
    second = world.relay(third, back=back)
    first = world.relay(second)
    world.submit(first, options=('REQUIRETLS', 'RET=FULL', 'ENVID=e1'))
    assert 'REQUIRETLS' not in words_of(back)[0]
    notice = back.messages[0]
    assert 'MAIL FROM:<>' in notice.mail
    for word in (b'Status: ' + status.encode(), b'Original-Envelope-Id: e1', b'Final-Recipient: rfc822; b@dest.example'):
        assert word in notice.content, notice.content
    assert b'confidential' not in notice.content and b'Subject: s\r\n' not in notice.content
    assert not third.messages and not [c for c in third.commands if c.startswith('MAIL')]
    assert second.wait_event('bounced') and not first.events('bounced')


def test_a_notice_is_not_lost_for_it(world):
    """Somebody else's notice with REQUIRETLS (RFC 8689 5), to a server without TLS."""
    sink = world.sink(tls=False)
    relay = world.relay(sink)
    world.submit(relay, sender='')
    assert 'REQUIRETLS' not in words_of(sink)[0]


@pytest.mark.parametrize('offers', [OFFERS, ('DSN',)])
def test_over_a_crash(world, offers):
    sink, back = world.sink(), world.sink('back.client.example')
    port = sink.port
    sink.close()
    relay = world.relay(sink, back=back)
    world.submit(relay)
    relay.wait_event('destination-rests')
    relay.kill()
    relay.start()
    sink = world.sink(offers=offers, port=port)
    if offers == OFFERS:
        assert 'REQUIRETLS' in words_of(sink)[0]
    else:
        wait_for(lambda: back.messages)
        assert b'Status: 5.7.30' in back.messages[0].content
        assert not sink.messages


@pytest.mark.skipif(not dns.available(), reason='nsd is not installed')
@pytest.mark.parametrize('field, arrives', [('TLS-Required: No\r\n', True), ('tls-required:  no \r\n', True), ('TLS-Required: Yes\r\n', False),
                                            ('X: y\r\n\r\nTLS-Required: No\r\n', False)])
def test_without_tls_if_need_be(make_relay, make_sink, tmp_path, field, arrives):
    """TLS-Required: No lifts what the domain's TLSA records demand, here of a server whose key they do not know."""
    identity = certs.Authority(tmp_path / 'ca').issue('mx.there.example')
    sink = make_sink(host='127.0.77.1', identity=identity)
    place = test_dane.Signed(make_relay, tmp_path, sink.port, test_dane.record(sink.port, '3 1 1', '00' * 32))
    try:
        c = place.relay.client()
        c.hello()
        assert c.mail(field.encode() + b'\r\nx\r\n', to=('b@there.example',))[0] == 250
        c.close()
        if arrives:
            wait_for(lambda: sink.messages)
            assert place.relay.wait_event('secured')[0]['verified'] == 'none'
            assert field.encode() in sink.messages[0].content      # later hops read it, too
        else:
            wait_for(lambda: 'certificate is not what' in place.relay.text())
            assert not sink.messages
    finally:
        place.names.stop()


def test_a_route_stands_above_it(world):
    """What our own administrator demands is not the message's to lift."""
    sink = world.sink('other.example')
    relay = world.relay(sink, more='tls verified')
    world.submit(relay, options=(), text='TLS-Required: No\r\n' + TEXT)
    wait_for(lambda: 'certificate is not what is demanded' in relay.text())
    assert not sink.messages
