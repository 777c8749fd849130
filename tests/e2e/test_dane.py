"""DANE (RFC 7672): signed zones with TLSA records that fit, that do not, and that cannot be had."""
import pathlib

import pytest

import certs, dns, internet
from relevo import wait_for

pytestmark = pytest.mark.skipif(not dns.available(), reason='nsd is not installed')

ZONE = '@ MX 10 mx\nmx A %s\n%s'
TEXT = 'resolver %s { timeout 3s; dnssec on; trust_anchor %s }\nqueue { retry 1s }\nroute mx { port %d; idle 1s }\n' + internet.RULES


def record(port, usage, data):
    return '_%d._tcp.mx TLSA %s %s\n' % (port, usage, data)


class Signed:
    def __init__(self, make_relay, folder, port, tlsa, spoil=False, address='127.0.77.1'):
        zone, anchor = dns.sign(folder, 'there.example', ZONE % (address, tlsa))
        if spoil:
            zone = '\n'.join(dns.spoil(x) if '\tRRSIG\tTLSA' in x else x for x in zone.split('\n'))
        self.names = dns.NameServer({'there.example': zone}, folder)
        self.relay = make_relay('', start=False)
        path = pathlib.Path(self.relay.folder, 'anchor')
        path.write_text(anchor)
        self.relay.configure(TEXT % (self.names.address, path, port))
        self.relay.start()


@pytest.fixture
def signed(make_relay, tmp_path):
    made = []

    def make(*a, **kw):
        made.append(Signed(make_relay, tmp_path, *a, **kw))
        return made[-1].relay
    yield make
    for s in made:
        s.names.stop()


def hosts_of(relay):
    return relay.command('explain', '--destination', 'there.example', check=False).stdout


def test_the_right_key(signed, make_sink, tmp_path):
    identity = certs.Authority(tmp_path / 'ca').issue('whoever.example')
    sink = make_sink(host='127.0.77.1', identity=identity)
    relay = signed(sink.port, record(sink.port, '3 1 1', identity.spki_sha256))
    internet.submit(relay, ['b@there.example'])
    wait_for(lambda: sink.messages)
    assert relay.wait_event('secured')[0]['verified'] == 'dane'
    assert relay.wait_event('relayed')[0]['tls'].endswith('dane')
    assert 'TLSA records know (DANE)' in hosts_of(relay)


@pytest.mark.parametrize('tls', [True, False])
def test_the_wrong_key_or_none_waits(signed, make_sink, tmp_path, tls):
    identity = certs.Authority(tmp_path / 'ca').issue('mx.there.example')
    sink = make_sink(host='127.0.77.1', identity=identity if tls else None)
    relay = signed(sink.port, record(sink.port, '3 1 1', '00' * 32))
    internet.submit(relay, ['b@there.example'])
    wait_for(lambda: ('certificate is not what' if tls else 'does not offer it') in relay.text())
    assert not sink.messages and not relay.events('bounced')


def test_records_that_cannot_be_verified_keep_the_host_out(signed, make_sink, tmp_path):
    identity = certs.Authority(tmp_path / 'ca').issue('mx.there.example')
    sink = make_sink(host='127.0.77.1', identity=identity)
    relay = signed(sink.port, record(sink.port, '3 1 1', identity.spki_sha256), spoil=True)
    internet.submit(relay, ['b@there.example'])
    wait_for(lambda: 'TLSA records could not be looked up safely' in relay.text(), 20)
    assert sink.sessions == 0
    assert 'not tried: its TLSA records' in hosts_of(relay)


def test_unusable_records_demand_tls_all_the_same(signed, make_sink, tmp_path):
    identity = certs.Authority(tmp_path / 'ca').issue('mx.there.example')
    sink = make_sink(host='127.0.77.1', identity=identity)
    relay = signed(sink.port, record(sink.port, '1 1 1', '00' * 32))
    internet.submit(relay, ['b@there.example'])
    wait_for(lambda: sink.messages)
    assert relay.wait_event('secured')[0]['verified'] == 'none'


def test_postfix_by_its_authority(signed, make_postfix, tmp_path):
    ca = certs.Authority(tmp_path / 'ca')
    identity = ca.issue('mx.there.example')
    with open(identity.certificate, 'a') as f:
        f.write(ca.read())      # usage 2 wants the authority in the chain (RFC 7672 3.1.2)
    postfix = make_postfix(domains=('there.example',),
                           more='smtpd_tls_security_level = may\nsmtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\n'
                                % (identity.certificate, identity.key))
    relay = signed(postfix.port, record(postfix.port, '2 1 1', ca.spki_sha256), address='127.0.0.1')
    internet.submit(relay, ['b@there.example'])
    wait_for(lambda: postfix.delivered() == ['b@there.example'], 20)
    assert relay.wait_event('secured')[0]['verified'] == 'dane'
