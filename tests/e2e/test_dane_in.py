"""Clients that verify us by DANE: Postfix's posttls-finger and Postfix itself, with a validating resolver of their own."""
import re, subprocess

import pytest

import dns, validator
from relevo import PATIENCE, wait_for
from test_clients import need, run
from test_tls_in import Secure

pytestmark = pytest.mark.skipif(not dns.available(), reason='nsd is not installed')
ZONE = '@ MX 10 mx\nmx A 127.0.0.1\n'


class Place(Secure):
    """A relay that is the exchanger of a signed domain. tlsa: a record's text; spoil: whose signature is wrong."""

    def __init__(self, make_relay, make_sink, folder):
        super().__init__(make_relay, make_sink, folder)
        self.folder, self.names, self.validator = folder, None, None

    def publish(self, tlsa, spoil=False):
        zone, anchor = dns.sign(self.folder, 'there.example', ZONE + ('_%d._tcp.mx TLSA %s\n' % (self.port, tlsa) if tlsa else ''))
        if spoil:
            zone = '\n'.join(dns.spoil(x) if '\tRRSIG\tTLSA' in x else x for x in zone.split('\n'))
        self.names = dns.NameServer({'there.example': zone}, self.folder)
        self.validator = validator.Validator('there.example', anchor, self.names)

    def finger(self, *options, match=()):
        command = [need('posttls-finger'), '-c', '-t', '10', *options, 'there.example:%d' % self.port, *match]
        r = subprocess.run(self.validator.inside(command), capture_output=True, text=True, timeout=60 * PATIENCE)
        return r.returncode, r.stdout + r.stderr

    def good(self):
        return '3 1 1 ' + self.server.spki_sha256

    def stop(self):
        for what in (self.validator, self.names):
            if what:
                what.stop()


@pytest.fixture
def place(make_relay, make_sink, tmp_path):
    p = Place(make_relay, make_sink, tmp_path)
    yield p
    p.stop()


def test_posttls_finger(place):
    place.publish(place.good())
    code, text = place.finger('-l', 'dane-only')
    assert code == 0 and 'Verified TLS connection established to mx.there.example' in text, text
    assert 'TLSv1.3' in text
    code, text = place.finger('-l', 'dane', '-p', '!TLSv1.3')
    assert code == 0 and re.search(r'Verified TLS connection .* TLSv1\.2 with cipher ECDHE-ECDSA', text), text
    assert [e['version'] for e in place.relay.wait_event('tls', 2) if e.get('sni') == 'mx.there.example'] == ['TLSv1.3', 'TLSv1.2']


def test_posttls_finger_plain(place):
    """Without records: as good as the authority that the client knows."""
    place.publish('')
    code, text = place.finger('-l', 'dane', '-F', place.ca.certificate)
    assert code == 0 and re.search('(Untrusted|Trusted) TLS connection established', text), text
    code, text = place.finger('-l', 'secure', '-F', place.ca.certificate, match=['relay.test.example'])
    assert code == 0 and 'Verified TLS connection established' in text, text


@pytest.mark.parametrize('spoil', [False, True])
def test_posttls_finger_refuses(place, spoil):
    """The test can fail: another key, or records whose signatures are wrong."""
    place.publish(place.good() if spoil else '3 1 1 ' + '00' * 32, spoil)
    code, text = place.finger('-l', 'dane')
    assert 'Verified TLS' not in text, text
    assert ('TLSA lookup error' if spoil else 'certificate verification failed') in text, text


@pytest.mark.parametrize('fits', [True, False])
def test_postfix(place, make_postfix, fits):
    place.publish(place.good() if fits else '3 1 1 ' + '00' * 32)
    postfix = make_postfix(next_hop='there.example:%d' % place.port, inside=place.validator.inside,
                           more='smtp_tls_security_level = dane\nsmtp_dns_support_level = dnssec\nsmtp_host_lookup = dns\n'
                           'smtp_tls_loglevel = 1\n')
    run([need('swaks'), '--server', '127.0.0.1:%d' % postfix.port, '--from', 'a@client.example', '--to', 'b@dest.example'])
    if fits:
        wait_for(lambda: place.sink.messages, 20)
        assert 'Verified TLS connection established to mx.there.example' in postfix.log(), postfix.log()
        assert b'with ESMTPS (TLSv1.3' in place.sink.messages[0].content
    else:
        wait_for(lambda: 'Server certificate not trusted' in postfix.log() or 'not verified' in postfix.log(), 20)
        assert 'status=deferred' in postfix.log() and not place.sink.messages
