"""Logins by token (XOAUTH2, OAUTHBEARER): judged by a token server over HTTPS (RFC 7662), which knows some and misbehaves for others."""
import base64, contextlib, http.server, json, os, pathlib, smtplib, ssl, subprocess, threading, time, urllib.parse

import pytest

import dns, validator
from certs import Authority
from relevo import BINARY, PATIENCE, free_port, wait_for
from test_clients import MESSAGE, arrived, need, run

USER, OTHER = 'ann@client.example', 'bob@client.example'
SECRET = 'the relay\'s own: secret'
CONF = '''secrets %(folder)s/secrets
tls {
	certificate %(certificate)s
	key %(key)s
}
users introspect https://%(host)s:%(tokens)d/introspect client relay secret id ca %(folder)s/ca.pem %(demands)s
listen 127.0.0.1:%(submission)d {
	submission
	tls required
%(mechanisms)s}
route next {
	host 127.0.0.1:%(sink)d
	tls off
}
accept from login to any via next
'''


class TokenServer:
    """Knows tokens: a dict is the answer; a number is a status; a function does what it wants with the handler."""

    def __init__(self, identity):
        self.tokens, self.asked, self.port = {}, [], free_port()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler):
                form = handler.rfile.read(int(handler.headers['Content-Length'])).decode()
                words = urllib.parse.parse_qs(form, strict_parsing=True)
                self.asked.append((handler.path, handler.headers['Authorization'], handler.headers['Content-Type'], words))
                answer = self.tokens.get(words['token'][0], {'active': False})
                if callable(answer):
                    return answer(handler)
                status, text = (answer, '') if isinstance(answer, int) else (200, json.dumps(answer))
                handler.reply(status, text)

            def reply(handler, status, text):
                handler.send_response(status)
                handler.send_header('Content-Type', 'application/json')
                handler.send_header('Location', 'https://127.0.0.1:%d/introspect' % self.port)
                handler.end_headers()
                with contextlib.suppress(OSError):
                    handler.wfile.write(text.encode())

            def log_message(handler, *a):
                pass
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.certificate, identity.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *a: None       # who breaks off the handshake
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


class Tokens:
    def __init__(self, make_relay, make_sink, folder, demands='', trusted=True, name='127.0.0.1',
                 mechanisms='', inside=list):
        self.ca, self.sink = Authority(folder / 'ca'), make_sink()
        server = self.ca.issue('localhost', ['localhost', '127.0.0.1'])
        self.server = TokenServer(self.ca.issue(name))
        self.port, self.relay = free_port(), make_relay('', start=False)
        self.relay.inside = inside
        here = pathlib.Path(self.relay.folder)
        (here / 'ca.pem').write_text((self.ca if trusted else Authority(folder / 'another', 'Another')).read())
        (here / 'secrets').mkdir()
        (here / 'secrets' / 'id').write_text(SECRET + '\n')
        (here / 'secrets' / 'id').chmod(0o600)
        self.words = dict(folder=here, certificate=server.certificate, key=server.key, tokens=self.server.port,
                          submission=self.port, sink=self.sink.port,
                          mechanisms=mechanisms, host='127.0.0.1' if inside is list else name)
        self.relay.configure(CONF % dict(self.words, demands=demands))
        self.relay.start()

    def smtp(self):
        s = smtplib.SMTP('localhost', self.port, timeout=30 * PATIENCE)
        s.starttls(context=ssl.create_default_context(cafile=self.ca.certificate))
        s.ehlo('c')
        return s

    def login(self, kind, token, user=USER, s=None):
        """(code, text) of the first answer to AUTH with the token in the initial response."""
        with contextlib.ExitStack() as stack:
            s = s or stack.enter_context(contextlib.closing(self.smtp()))
            return s.docmd('AUTH %s %s' % (kind, base64.b64encode(response(kind, token, user)).decode()))

    def why(self, n=1):
        return self.relay.wait_event('login-failed', n)[n - 1]['why']


def response(kind, token, user=USER):
    if kind == 'XOAUTH2':
        return ('user=%s\1auth=Bearer %s\1\1' % (user, token)).encode()
    return ('n,%s,\1host=localhost\1port=587\1auth=Bearer %s\1\1' % ('a=' + user if user else '', token)).encode()


@pytest.fixture
def make_tokens(make_relay, make_sink, tmp_path):
    made = []

    def make(*a, **kw):
        made.append(Tokens(make_relay, make_sink, tmp_path, *a, **kw))
        return made[-1]
    yield make
    for t in made:
        t.server.close()


KINDS = pytest.mark.parametrize('kind', ['XOAUTH2', 'OAUTHBEARER'])


def refused(t, kind, token, status, **words):
    """The challenge of a refusal, the client's answer to it, and the end (RFC 7628 3.2.2, 3.2.3)."""
    with t.smtp() as s:
        code, text = t.login(kind, token, s=s, **words)
        assert code == 334, (code, text)
        assert json.loads(base64.b64decode(text))['status'] == status
        code, text = s.docmd(base64.b64encode(b'\1').decode() if kind == 'OAUTHBEARER' else '')
        assert (code, text[:5]) == (535, b'5.7.8')
        assert s.mail(USER)[0] == 530
        return s


@KINDS
def test_curl(make_tokens, kind, tmp_path):
    t = make_tokens(mechanisms='login mechanisms %s\n' % kind)    # of two, curl takes what it prefers
    t.server.tokens['good'] = {'active': True, 'username': USER}
    (tmp_path / 'm').write_bytes(MESSAGE.encode())
    run([need('curl'), '--no-progress-meter', '--ssl-reqd', '--cacert', t.ca.certificate, '-u', USER + ':', '--oauth2-bearer', 'good', 'smtp://localhost:%d/c.example' % t.port, '--mail-from', USER, '--mail-rcpt',
         'b@dest.example', '--upload-file', str(tmp_path / 'm')])
    arrived(t.sink, b'with ESMTPSA (TLSv1.')
    login = t.relay.wait_event('login')[0]
    assert (login['user'], login['mechanism'], login['backend']) == (USER, kind, 'introspect')
    path, who, what, form = t.server.asked[0]
    assert path == '/introspect' and what == 'application/x-www-form-urlencoded'
    assert base64.b64decode(who.split()[1]).decode() == 'relay:' + SECRET
    assert form == {'token': ['good'], 'token_type_hint': ['access_token']}


@KINDS
def test_msmtp(make_tokens, kind):
    t = make_tokens()
    t.server.tokens['good'] = {'active': True, 'username': USER}
    command = [need('msmtp'), '--file=/dev/null', '--host=localhost', '--port=%d' % t.port, '--tls=on', '--tls-starttls=on',
               '--tls-trust-file=' + t.ca.certificate, '--auth=' + kind.lower(), '--user=' + USER, '--from=' + USER, 'b@dest.example']
    run(command + ['--passwordeval=echo good'], input=MESSAGE.replace('\r\n', '\n'))
    arrived(t.sink, b'with ESMTPSA (TLSv1.')
    r = subprocess.run(command + ['--passwordeval=echo bad'], input='x', text=True, capture_output=True, timeout=60)
    assert r.returncode and '535 5.7.8' in r.stderr, r.stderr


@KINDS
def test_who_may_send_as_whom(make_tokens, kind):
    """The token names the user; the client may leave the name out in OAUTHBEARER, and may not name another."""
    t = make_tokens('claim email')
    t.server.tokens['good'] = {'active': True, 'username': 'ann', 'email': USER, 'sub': '17'}
    with t.smtp() as s:
        assert t.login(kind, 'good', USER.upper(), s)[0] == 235     # names compare without case
        assert s.docmd('AUTH ' + kind)[0] == 503
        assert s.mail(OTHER)[0] == 553
        assert s.mail(USER)[0] == 250
    refused(t, kind, 'good', 'invalid_token' if kind == 'OAUTHBEARER' else '401', user=OTHER)
    assert t.why() == 'the token is somebody else\'s'
    if kind == 'OAUTHBEARER':
        assert t.login(kind, 'good', '')[0] == 235
    n = 2 if kind == 'OAUTHBEARER' else 1
    assert [e['user'] for e in t.relay.wait_event('login', n)] == [USER] * n


def test_senders_of_a_users_file(make_tokens, tmp_path):
    """Where a users file knows the user that the token names, it says as whom he may send."""
    users = str(tmp_path / 'users')
    run([BINARY, 'user', 'add', USER, '-f', users, '--password-stdin'], input='Open Sesame!\n')
    run([BINARY, 'user', 'allow', USER, 'sales@client.example', '.shop.example', '-f', users])
    t = make_tokens(demands='\nusers file ' + users)
    t.server.tokens['good'] = {'active': True, 'username': USER}
    with t.smtp() as s:
        assert t.login('XOAUTH2', 'good', s=s)[0] == 235
        for sender, code in ((USER, 553), (OTHER, 553), ('sales@client.example', 250), ('x@a.shop.example', 250), ('', 250)):
            assert s.mail(sender)[0] == code, sender
            s.rset()


def test_disabled_in_a_users_file(make_tokens, tmp_path):
    """Who is disabled there is out, whichever backend says yes, and wherever it stands in the order."""
    users = tmp_path / 'users'
    for name in (USER, OTHER):
        run([BINARY, 'user', 'add', name, '-f', str(users), '--password-stdin'], input='Open Sesame!\n')
    run([BINARY, 'user', 'disable', USER.upper(), '-f', str(users)])
    t = make_tokens(demands='\nusers file %s' % users)
    t.server.tokens.update({'ann': {'active': True, 'username': USER}, 'bob': {'active': True, 'username': OTHER}})
    for kind in ('XOAUTH2', 'OAUTHBEARER'):
        refused(t, kind, 'ann', '401' if kind == 'XOAUTH2' else 'invalid_token')
        assert t.login(kind, 'bob', OTHER)[0] == 235
    assert t.login('OAUTHBEARER', 'ann', '')[0] == 334      # whom the token alone names
    assert [e['why'] for e in t.relay.wait_event('login-failed', 3)] == ['disabled in the users file'] * 3
    run([BINARY, 'user', 'enable', USER, '-f', str(users)])
    wait_for(lambda: t.login('XOAUTH2', 'ann')[0] == 235)


@pytest.mark.parametrize('demands, answer, why', [
    ('', {'active': False}, 'the token is not active'),
    ('', {'active': True, 'username': USER, 'exp': 1000000000}, 'the token has expired'),
    ('scope smtp', {'active': True, 'username': USER, 'scope': 'imap smtps'}, 'the token lacks the scope'),
    ('scope smtp', {'active': True, 'username': USER}, 'the token lacks the scope'),
    ('audience relay', {'active': True, 'username': USER, 'aud': ['web', 'relays']}, 'the token is for another audience'),
    ('audience relay', {'active': True, 'username': USER}, 'the token is for another audience'),
    ('claim email', {'active': True, 'username': USER}, 'the token names no user')])
def test_bad_tokens(make_tokens, demands, answer, why):
    t = make_tokens(demands)
    t.server.tokens['x'] = answer
    refused(t, 'XOAUTH2', 'x', '401')
    refused(t, 'OAUTHBEARER', 'x', 'invalid_token')
    assert t.why(1) == t.why(2) == why
    assert len(t.server.asked) == 2     # a token that was bad is asked about again
    # what is demanded and no more lets him in
    t.server.tokens['x'] = {'active': True, 'username': USER, 'email': USER, 'scope': 'imap smtp', 'aud': ['web', 'relay'],
                            'exp': time.time() + 100}
    assert t.login('XOAUTH2', 'x')[0] == 235


@KINDS
def test_cancelled_at_the_challenge(make_tokens, kind):
    """A refusal is counted and logged before the client can give up, or hang up."""
    t = make_tokens()
    with t.smtp() as s:
        assert t.login(kind, 'bad', s=s)[0] == 334
        assert s.docmd('*')[0] == 535
        assert s.noop()[0] == 250
    assert t.why() == 'the token is not active'
    for line, code in (('!', 501), (base64.b64encode(response(kind, 'a b')).decode(), 535), (base64.b64encode(b'x').decode(), 535)):
        with t.smtp() as s:
            assert s.docmd('AUTH %s %s' % (kind, line))[0] == code
    assert len(t.server.asked) == 1


def slow(handler):
    time.sleep(15 * PATIENCE)
    with contextlib.suppress(OSError):
        handler.reply(200, json.dumps({'active': True, 'username': USER}))


def large(handler):
    handler.reply(200, json.dumps({'active': True, 'username': USER, 'more': 'x' * 70000}))


def html(handler):
    handler.reply(200, '<html>Sign in</html>')


@pytest.mark.parametrize('answer, why', [(500, 'answers 500'), (302, 'answers 302'), (401, 'answers 401'),
                                         (large, 'the answer is too large'), (html, 'is no JSON object')])
def test_a_server_that_cannot_judge(make_tokens, answer, why):
    """Then the client is told to come again, and it is nobody's failure."""
    t = make_tokens()
    t.server.tokens['x'] = answer
    for kind in ('XOAUTH2', 'OAUTHBEARER'):
        code, text = t.login(kind, 'x')
        assert (code, text[:5]) == (454, b'4.7.0')
    assert why in t.why(2)
    assert [e['result'] for e in t.relay.events('login-failed')] == ['later', 'later']
    assert len(t.server.asked) == 2     # and no redirection was followed


def test_down(make_tokens):
    t = make_tokens()
    t.server.close()
    assert t.login('XOAUTH2', 'x')[0] == 454
    assert 'the token server: ' in t.why()


def test_slow(make_tokens):
    """Ten seconds, and who asks meanwhile about another token is not held up."""
    t = make_tokens()
    t.server.tokens.update({'slow': slow, 'good': {'active': True, 'username': USER}})
    began, answers = time.monotonic(), []
    waiting = threading.Thread(target=lambda: answers.append((t.login('XOAUTH2', 'slow')[0], time.monotonic() - began)))
    waiting.start()
    wait_for(lambda: t.server.asked)
    assert t.login('XOAUTH2', 'good')[0] == 235 and not answers
    waiting.join()
    code, took = answers[0]
    assert code == 454 and 9 < took < 10 + 4 * PATIENCE, answers
    assert 'Timeout' in t.why()


@pytest.mark.parametrize('words', [{'trusted': False}, {'name': 'elsewhere.example'}])
def test_a_server_that_does_not_prove_itself(make_tokens, words):
    """It hears no token."""
    t = make_tokens(**words)
    assert t.login('XOAUTH2', 'x')[0] == 454
    assert not t.server.asked and 'the token server: SSL' in t.why()


@pytest.mark.skipif(not dns.available(), reason='nsd is not installed')
def test_by_name(make_tokens, tmp_path):
    """The system's resolver is asked for the server's address, from within the sandbox."""
    zone, anchor = dns.sign(tmp_path, 'there.example', 'id A 127.0.0.1\n')
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(dns.NameServer({'there.example': zone}, tmp_path))
        resolver = validator.Validator('there.example', anchor, names)
        stack.callback(resolver.stop)
        t = make_tokens(name='id.there.example', inside=resolver.inside)
        t.server.tokens['good'] = {'active': True, 'username': USER}
        sandbox = t.relay.wait_event('sandbox')[0]['text']
        assert 'system calls filtered' in sandbox or 'a build for tests' in sandbox
        assert t.login('XOAUTH2', 'good')[0] == 235, t.relay.text()


def test_remembered(make_tokens):
    """Good ones are, while they are good; what a reload demands, or another user's name, is not got round by that."""
    t = make_tokens()
    t.server.tokens.update({'good': {'active': True, 'username': USER, 'scope': 'imap'},
                            'short': {'active': True, 'username': USER, 'exp': time.time() + 3 * PATIENCE}})
    for kind in ('XOAUTH2', 'OAUTHBEARER', 'XOAUTH2'):
        assert t.login(kind, 'good')[0] == 235
    assert len(t.server.asked) == 1
    assert t.login('XOAUTH2', 'good', OTHER)[0] == 334
    assert t.login('XOAUTH2', 'short')[0] == 235
    t.server.tokens['short'] = {'active': False}
    time.sleep(3.2 * PATIENCE)
    assert t.login('XOAUTH2', 'short')[0] == 334
    assert len(t.server.asked) == 3
    t.relay.configure(CONF % dict(t.words, demands='scope smtp'))
    t.relay.command('reload')
    assert t.login('XOAUTH2', 'good')[0] == 334
    assert t.why(3) == 'the token lacks the scope'      # he hung up before he was told, all the same
    t.relay.configure(CONF % dict(t.words, demands=''))
    t.relay.command('reload')
    assert t.login('XOAUTH2', 'good')[0] == 235
    told = t.relay.text()
    for word in ('good', 'short', SECRET, base64.b64encode(response('XOAUTH2', 'good')).decode()):
        assert word not in told
