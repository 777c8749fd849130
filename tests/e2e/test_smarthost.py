"""Logins at a smarthost: every mechanism at a relay of ours and at Postfix with Dovecot, tokens, and what becomes of mail if it fails."""
import base64, json, pathlib

import pytest

import certs
from relevo import BINARY, free_port, wait_for
from test_clients import run
from test_login import PASSWORD, USER, dovecot      # noqa: F401, a fixture

CONF = '''queue { retry 1s }
secrets %(folder)s/secrets
resolver 127.0.0.1:1 { hosts %(folder)s/hosts }
route provider {
	host smart.example:%(port)d
	idle 1s
	tls verified ca %(folder)s/ca.pem
	login %(user)s secret one %(mechanism)s
	%(more)s
}
accept from local to any via provider
'''
SMART = '''tls {
	certificate %(certificate)s
	key %(key)s
}
users file %(users)s
listen 127.0.0.1:%(port)d {
	submission
	tls required
	login mechanisms %(mechanisms)s
}
route next { host 127.0.0.1:%(sink)d; tls off }
accept from login to any via next
'''
ALL = 'plain login scram-sha-1 scram-sha-256 scram-sha-256-plus scram-sha-1-plus'


@pytest.fixture
def authority(tmp_path):
    return certs.Authority(tmp_path / 'ca')


class Client:
    """A relay that logs in at port; .secret(text) puts another secret into the file."""

    def __init__(self, make_relay, authority, port, mechanism='', more='', secret=PASSWORD):
        self.relay = make_relay('', start=False)
        self.folder = pathlib.Path(self.relay.folder)
        (self.folder / 'hosts').write_text('127.0.0.1 smart.example\n')
        (self.folder / 'ca.pem').write_text(authority.read())
        (self.folder / 'secrets').mkdir()
        self.file, self.told = self.folder / 'secrets' / 'one', []
        self.secret(secret)
        self.relay.configure(CONF % dict(folder=self.folder, port=port, user=USER, more=more,
                                         mechanism='mechanism ' + mechanism if mechanism else ''))
        self.relay.start()

    def secret(self, text):
        self.told.append(text)
        self.file.write_text(text + '\n')
        self.file.chmod(0o600)

    def submit(self):
        c = self.relay.client()
        c.hello()
        assert c.mail(b'Subject: x\r\n\r\nbody\r\n', sender=USER)[0] == 250
        c.close()

    def failure(self):
        """The warning about a login that failed; the mail waits, and nothing that is secret is in the log."""
        found = wait_for(lambda: [e for e in self.relay.events('warning') if 'login at a next hop failed' in e.get('what', '')])
        wait_for(lambda: self.relay.events('destination-rests') or self.relay.events('deferred'))
        assert 'b@dest.example' in self.relay.command('queue', 'list').stdout
        self.keeps_secrets()
        return found[0]

    def keeps_secrets(self):
        text = self.relay.text()
        assert not self.relay.events('bounced')
        for secret in self.told:
            for form in (secret, base64.b64encode(secret.encode()).decode(), base64.b64encode(('\0%s\0%s' % (USER, secret)).encode()).decode()):
                assert form not in text


@pytest.fixture
def smart(make_relay, make_sink, authority, tmp_path):
    """A relay of ours where the others log in: (port, relay, sink)."""
    def make(mechanisms=ALL):
        identity, sink, port = authority.issue('smart.example'), make_sink(), free_port()
        run([BINARY, 'user', 'add', USER, '-f', str(tmp_path / 'users'), '--password-stdin', '--scram-sha-1'], input=PASSWORD + '\n')
        relay = make_relay(SMART % dict(certificate=identity.certificate, key=identity.key, users=tmp_path / 'users', port=port,
                                        mechanisms=mechanisms, sink=sink.port))
        return port, relay, sink
    return make


@pytest.mark.parametrize('offered, named, used', [
    (ALL, '', 'SCRAM-SHA-256-PLUS'), (ALL, 'scram-sha-256', 'SCRAM-SHA-256-PLUS'), (ALL, 'scram-sha-1', 'SCRAM-SHA-1-PLUS'),
    (ALL, 'plain', 'PLAIN'), (ALL, 'login', 'LOGIN'), ('plain login scram-sha-256', '', 'SCRAM-SHA-256'),
    ('plain login scram-sha-1', '', 'SCRAM-SHA-1'), ('plain login', '', 'PLAIN'), ('login', '', 'LOGIN')])
def test_mechanisms(make_relay, authority, smart, offered, named, used):
    port, relay, sink = smart(offered)
    client = Client(make_relay, authority, port, named)
    client.submit()
    wait_for(lambda: sink.messages)
    login = relay.wait_event('login')[0]
    assert (login['mechanism'], login['user']) == (used, USER)
    client.keeps_secrets()


def test_the_one_that_is_named_is_not_offered(make_relay, authority, smart):
    """Then no other is taken in its place."""
    port, relay, sink = smart('plain login')
    client = Client(make_relay, authority, port, 'scram-sha-256')
    client.submit()
    assert client.failure()['why'] == 'the host offers no way to log in that we know'
    assert not sink.messages and not relay.events('login')


@pytest.mark.parametrize('mechanism', ['', 'plain', 'login'])
def test_wrong_password(make_relay, authority, smart, mechanism):
    """The mail waits and the log says why; with the right secret in the file it goes, without a reload."""
    port, relay, sink = smart()
    client = Client(make_relay, authority, port, mechanism, secret='wrong secret')
    client.submit()
    failed = client.failure()
    assert (failed['user'], failed['host']) == (USER, 'smart.example (127.0.0.1)')
    if mechanism:
        assert failed['why'] == 'login refused' and failed['reply'].startswith('535 5.7.8')
    else:
        assert 'our secret is wrong' in failed['why'] and failed['detail'] == 'the server says that the proof is wrong'
    client.secret(PASSWORD)
    wait_for(lambda: sink.messages, 20)
    client.keeps_secrets()


def test_no_secret(make_relay, authority, smart):
    port, relay, sink = smart()
    client = Client(make_relay, authority, port)
    client.file.unlink()
    client.submit()
    failed = client.failure()
    assert failed['why'] == 'the secret for the login cannot be read' and 'No such file' in failed['detail']
    client.secret(PASSWORD)
    client.file.chmod(0o644)
    wait_for(lambda: 'everybody may read its file: it is not used' in client.relay.text())
    assert not sink.messages and not relay.events('login')
    client.file.chmod(0o600)
    wait_for(lambda: sink.messages, 20)


@pytest.mark.parametrize('mechanism, used', [('', 'SCRAM-SHA-256'), ('plain', 'PLAIN'), ('login', 'LOGIN')])
def test_postfix_and_dovecot(make_relay, make_postfix, authority, dovecot, mechanism, used):    # noqa: F811
    _, port, _ = dovecot
    identity = authority.issue('smart.example')
    postfix = make_postfix(domains=('nothing.example',), more='''smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = %s
smtpd_tls_key_file = %s
smtpd_sasl_auth_enable = yes
smtpd_error_sleep_time = 0
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:%d
smtpd_relay_restrictions = permit_sasl_authenticated, reject
default_transport = discard:
''' % (identity.certificate, identity.key, port))
    client = Client(make_relay, authority, postfix.port, mechanism, secret='wrong secret')
    client.submit()
    # who refuses SCRAM may do so before or after its last message; both are a refusal
    assert client.failure()['why'] in ('login refused', 'login failed: our secret is wrong, or the host cannot prove itself')
    client.secret(PASSWORD)
    wait_for(lambda: postfix.delivered() == ['b@dest.example'], 30)
    assert 'sasl_method=%s, sasl_username=%s' % (used, USER) in postfix.log(), postfix.log()
    client.keeps_secrets()


# ---- tokens, and servers that are not what they seem

class Script:
    """A server's side of AUTH: answers to what comes, in its order; a function gets the line and returns the answer."""

    def __init__(self, *answers):
        self.answers, self.lines = answers, []

    def __call__(self, stage, argument, session):
        if stage == 'mail' and not session.get('in'):
            return '530 5.7.0 log in first'
        if stage != 'other':
            return None
        step = session.setdefault('step', 0)
        session['step'] += 1
        self.lines.append(argument)
        answer = self.answers[min(step, len(self.answers) - 1)]
        answer = answer(argument) if callable(answer) else answer
        session['in'] = answer.startswith('235')
        return answer


def sink_for(make_sink, authority, script, mechanisms):
    return make_sink(script, identity=authority.issue('smart.example'), offers_tls=('PIPELINING', 'AUTH ' + mechanisms))


def decoded(line):
    return base64.b64decode(line.split()[-1]).decode()


@pytest.mark.parametrize('kind', ['XOAUTH2', 'OAUTHBEARER'])
def test_tokens(make_relay, make_sink, authority, kind):
    """A token that is refused: its challenge is answered (RFC 7628 3.2.3), the mail waits for another one."""
    refusal = base64.b64encode(json.dumps({'status': '401', 'schemes': 'bearer'}).encode()).decode()
    script = Script(lambda line: '235 2.7.0 welcome' if 'fresh-token' in decoded(line) else '334 ' + refusal, '535 5.7.8 token expired')
    sink = sink_for(make_sink, authority, script, 'PLAIN LOGIN ' + kind)
    client = Client(make_relay, authority, sink.port, kind.lower(), secret='old-token')
    client.submit()
    failed = client.failure()
    assert failed['mechanism'] == kind and '535 5.7.8 token expired' in failed['reply'], failed
    first, second = script.lines[:2]
    assert first.startswith('AUTH ' + kind)
    if kind == 'XOAUTH2':
        assert decoded(first) == 'user=%s\1auth=Bearer old-token\1\1' % USER
        assert second in ('', 'AQ==')
    else:
        assert decoded(first) == 'n,a=%s,\1host=smart.example\1port=%d\1auth=Bearer old-token\1\1' % (USER, sink.port)
        assert second == 'AQ=='
    client.secret('fresh-token')
    wait_for(lambda: sink.messages, 20)
    client.keeps_secrets()


def test_who_lets_us_in_without_proof(make_relay, make_sink, authority):
    """A server that skips the end of SCRAM does not know the password: it gets no mail."""
    script = Script('235 2.7.0 come in')
    sink = sink_for(make_sink, authority, script, 'SCRAM-SHA-256')
    client = Client(make_relay, authority, sink.port)
    client.submit()
    assert 'cannot prove itself' in client.failure()['why']
    assert not sink.messages and not [c for c in sink.commands if c.startswith('MAIL')]


@pytest.mark.parametrize('iterations', [1, 100000000])
def test_who_asks_for_too_few_or_too_many_rounds(make_relay, make_sink, authority, iterations):
    def first(line):
        nonce = decoded(line).split('r=')[1]
        return '334 ' + base64.b64encode(('r=%sxyz,s=%s,i=%d' % (nonce, base64.b64encode(b'salt' * 4).decode(), iterations)).encode()).decode()
    script = Script(first, '501 5.7.0 cancelled')
    sink = sink_for(make_sink, authority, script, 'SCRAM-SHA-256')
    client = Client(make_relay, authority, sink.port)
    client.submit()
    assert 'cannot prove itself' in client.failure()['why']
    assert script.lines[1] == '*' and not sink.messages


@pytest.mark.parametrize('answers, why', [(('454 4.7.0 later',), 'login refused for now'), (('421 4.3.2 bye',), 'the host closes the connection'),
                                          (('334 !!!',), 'the answer to the login is not SMTP'), (('334 ',) * 20, '')])
def test_what_else_a_server_may_say(make_relay, make_sink, authority, answers, why):
    """The mail waits; a server that asks for ever is left after a few rounds."""
    script = Script(*answers)
    sink = sink_for(make_sink, authority, script, 'LOGIN')
    client = Client(make_relay, authority, sink.port)
    client.submit()
    failed = client.failure()
    assert why in failed['why'], failed
    assert not sink.messages


def test_no_login_in_clear(make_relay, make_sink, authority):
    """A host that offers AUTH but no TLS, when the route demands none: this machine apart, nothing is sent."""
    sink = make_sink(host='127.0.0.1', offers=('AUTH PLAIN',))
    client = Client(make_relay, authority, sink.port)
    client.submit()
    wait_for(lambda: 'does not offer it' in client.relay.text())
    assert not [c for c in sink.commands if c.startswith('AUTH')] and not client.relay.events('bounced')
