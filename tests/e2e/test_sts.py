"""MTA-STS (RFC 8461): policies from a web server of our own on port 443 of a loopback address, which takes root."""
import http.server, os, pathlib, shutil, ssl, threading

import pytest

import certs, dns, internet
from relevo import wait_for

pytestmark = [pytest.mark.skipif(not dns.available(), reason='nsd is not installed'),
              pytest.mark.skipif(os.getuid() != 0, reason='port 443 takes root')]

WEB = '127.0.78.%d' % (10 + int(''.join(c for c in os.environ.get('PYTEST_XDIST_WORKER', '0') if c.isdigit()) or 0))
POLICY = 'version: STSv1\nmode: %s\nmx: %s\nmax_age: 86400\n'
ZONE = '@ MX 10 mx\nmx A 127.0.77.1\n_mta-sts TXT "v=STSv1; id=%s"\nmta-sts A ' + WEB + '\n'
TEXT = 'resolver %s { timeout 3s; dnssec off }\nqueue { retry 1s }\nroute mx { port %d; idle 1s }\n' + internet.RULES


class Web:
    def __init__(self, identity, body):
        self.body, self.asked = body, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                self.asked.append(handler.headers['Host'] + handler.path)
                handler.send_response(200 if self.body else 500)
                handler.send_header('Content-Type', 'text/plain')
                handler.end_headers()
                handler.wfile.write((self.body or '').encode())

            def log_message(handler, *a):
                pass
        self.server = http.server.HTTPServer((WEB, 443), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.certificate, identity.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Place:
    """A domain with a policy, an exchanger, and a relay that trusts the authority as if it were the system's."""

    def __init__(self, make_relay, make_sink, make_names, folder, policy, name='mx.there.example', tls=True):
        ca = certs.Authority(folder / 'ca')
        self.web = Web(ca.issue('mta-sts.there.example'), policy)
        self.sink = make_sink(host='127.0.77.1', identity=ca.issue(name) if tls else None)
        self.names = make_names('there.example', ZONE % '1')
        self.relay = make_relay('', start=False)
        trusted = pathlib.Path(self.relay.folder, 'authority.pem')
        shutil.copy(ca.certificate, trusted)
        self.relay.env = {'SSL_CERT_FILE': str(trusted)}
        self.relay.configure(TEXT % (self.names.address, self.sink.port))
        os.makedirs(self.relay.state, exist_ok=True)
        in_state = pathlib.Path(self.relay.state, 'authority.pem')     # where the sandbox lets it be read
        shutil.copy(ca.certificate, in_state)
        self.relay.env = {'SSL_CERT_FILE': str(in_state)}
        self.relay.start()

    def submit(self):
        internet.submit(self.relay, ['b@there.example'])


@pytest.fixture
def place(make_relay, make_sink, make_names, tmp_path):
    made = []

    def make(*a, **kw):
        made.append(Place(make_relay, make_sink, make_names, tmp_path, *a, **kw))
        return made[-1]
    yield make
    for p in made:
        p.web.close()


def test_enforce(place):
    p = place(POLICY % ('enforce', 'mx.there.example'))
    p.submit()
    wait_for(lambda: p.sink.messages)
    assert p.relay.wait_event('secured')[0]['verified'] == 'sts'
    assert p.web.asked == ['mta-sts.there.example/.well-known/mta-sts.txt']
    text = p.relay.command('explain', '--destination', 'there.example', check=False).stdout
    assert 'MTA-STS: enforce' in text and 'a certificate for its name (MTA-STS)' in text


@pytest.mark.parametrize('words, why', [({'tls': False}, 'does not offer it'),
                                        ({'name': 'other.example'}, 'certificate is not what is demanded')])
def test_enforce_keeps_mail_back(place, words, why):
    p = place(POLICY % ('enforce', 'mx.there.example'), **words)
    p.submit()
    wait_for(lambda: why in p.relay.text())
    assert not p.sink.messages and not p.relay.events('bounced')


def test_an_exchanger_that_is_not_listed(place):
    p = place(POLICY % ('enforce', '*.elsewhere.example'))
    p.submit()
    wait_for(lambda: 'vouches for this host' in p.relay.text())
    assert p.sink.sessions == 0


@pytest.mark.parametrize('mode', ['testing', 'none'])
def test_not_enforced(place, mode):
    p = place(POLICY % (mode, 'other.example'), tls=False)
    p.submit()
    wait_for(lambda: p.sink.messages)


def test_a_restart_and_a_dead_web_server_change_nothing(place):
    p = place(POLICY % ('enforce', 'mx.there.example'))
    p.submit()
    wait_for(lambda: p.sink.messages)
    p.relay.stop()
    p.web.body, p.sink.tls = None, None
    p.relay.start()
    p.submit()
    wait_for(lambda: 'does not offer it' in p.relay.text())
    assert len(p.sink.messages) == 1 and len(p.web.asked) == 1


def test_no_policy_to_be_had_is_no_policy(place):
    p = place(None, tls=False)
    p.submit()
    wait_for(lambda: p.sink.messages)
    assert 'answers 500' in p.relay.wait_event('policy')[0]['error']
