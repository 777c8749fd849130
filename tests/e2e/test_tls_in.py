"""TLS towards us: STARTTLS and TLS at once, real clients, what is injected, reloads, client certificates, what a scanner finds."""
import json, os, re, signal, socket, ssl, subprocess, time

import pytest

from certs import Authority
from relevo import PATIENCE, ROOT, free_port, wait_for
from test_clients import MESSAGE, arrived, need, run

CONF = '''tls {
	certificate %(certificate)s
	key %(key)s
}
listen 127.0.0.1:%(required)d {
	tls required
}
listen 127.0.0.1:%(implicit)d {
	tls implicit
}
listen 127.0.0.1:%(certificates)d {
	client_certificates
}
route next {
	host 127.0.0.1:%(sink)d
	tls off
}
%(rules)s
'''
RULES = 'accept from local to any via next'


class Secure:
    """A relay with a certificate, on a port with STARTTLS, one that requires it, one with TLS at once, one that asks."""

    def __init__(self, make_relay, make_sink, folder, rules=RULES):
        self.ca = Authority(folder / 'ca')
        self.sink = make_sink()
        self.server = self.ca.issue('relay.test.example', ['relay.test.example', 'localhost', '127.0.0.1'])
        self.required, self.implicit, self.certificates = free_port(), free_port(), free_port()
        self.rules = rules
        self.relay = make_relay(self.conf(self.server))
        self.port = self.relay.port

    def conf(self, server):
        return CONF % dict(certificate=server.certificate, key=server.key, required=self.required, implicit=self.implicit,
                           certificates=self.certificates, sink=self.sink.port, rules=self.rules)

    def context(self):
        c = ssl.create_default_context(cafile=self.ca.certificate)
        return c


@pytest.fixture
def secure(make_relay, make_sink, tmp_path):
    return Secure(make_relay, make_sink, tmp_path)


class Talk:
    """A dialogue over a plain socket that may become a TLS one."""

    def __init__(self, port):
        self.s = socket.create_connection(('127.0.0.1', port), 20 * PATIENCE)
        self.f = self.s.makefile('rb')

    def tls(self, context, name='relay.test.example'):
        self.s = context.wrap_socket(self.s, server_hostname=name)
        self.f = self.s.makefile('rb')
        return self

    def reply(self):
        while True:
            line = self.f.readline()
            if line[3:4] != b'-':
                return line.decode().rstrip('\r\n')

    def say(self, line):
        self.s.sendall(line.encode() + b'\r\n')
        return self.reply()

    def close(self):
        self.f.close()
        self.s.close()


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
@pytest.mark.parametrize('implicit', [False, True])
def test_openssl(secure, version, implicit):
    args = ['-connect', '127.0.0.1:%d' % (secure.implicit if implicit else secure.port)] + \
        ([] if implicit else ['-starttls', 'smtp'])
    out = run([need('openssl'), 's_client', version, '-quiet', '-verify_return_error', '-alpn', 'smtp',
               '-CAfile', secure.ca.certificate, '-verify_hostname', 'relay.test.example', *args],
              input='NOOP\r\nQUIT\r\n')
    assert '221 2.0.0' in out
    told = secure.relay.wait_event('tls')[0]
    assert told['version'] == {'-tls1_2': 'TLSv1.2', '-tls1_3': 'TLSv1.3'}[version]
    assert int(told['bits']) >= 128 and told['resumed'] == 'no'


@pytest.mark.parametrize('version', ['-tls1', '-tls1_1'])
def test_old_versions(secure, version):
    r = subprocess.run([need('openssl'), 's_client', version, '-cipher', 'ALL:@SECLEVEL=0', '-starttls', 'smtp', '-connect',
                        '127.0.0.1:%d' % secure.port], input='QUIT\r\n', capture_output=True, text=True, timeout=60)
    assert 'Cipher is (NONE)' in r.stdout + r.stderr
    assert secure.relay.wait_event('tls-failed')[0]['why']


def test_swaks(secure):
    common = [need('swaks'), '--from', 'a@client.example', '--to', 'b@dest.example', '--header', 'Subject: swaks',
              '--tls-verify', '--tls-ca-path', secure.ca.certificate, '--server']
    run(common + ['localhost', '--port', str(secure.port), '--tls'])
    run(common + ['localhost', '--port', str(secure.implicit), '--tls-on-connect'])
    run(common + ['localhost', '--port', str(secure.required), '--tls'])
    wait_for(lambda: len(secure.sink.messages) == 3)
    for m in secure.sink.messages:
        assert re.search(rb'with ESMTPS \(TLSv1\.3 TLS_[A-Z0-9_]+ \d+ bits\)', m.content), m.content
    assert all(e['tls'].startswith('TLSv1.') for e in secure.relay.events('received'))


def test_required(secure):
    t = Talk(secure.required)
    t.reply()
    assert t.say('EHLO c').startswith('250')
    for line in ('MAIL FROM:<a@b.example>', 'RSET', 'DATA', 'VRFY a', 'AUTH PLAIN', 'HELP'):
        assert t.say(line).startswith('530 5.7.0'), line
    assert t.say('NOOP').startswith('250')
    assert t.say('STARTTLS').startswith('220')
    t.tls(secure.context())
    assert t.say('MAIL FROM:<a@b.example>').startswith('503')
    assert t.say('EHLO c').startswith('250')
    assert t.say('MAIL FROM:<a@b.example>').startswith('250')
    t.close()


def test_curl_and_msmtp(secure, tmp_path):
    (tmp_path / 'm').write_bytes(MESSAGE.encode())
    common = ['--no-progress-meter', '--cacert', secure.ca.certificate, '--mail-from', 'a@client.example', '--mail-rcpt',
              'b@dest.example', '--upload-file', str(tmp_path / 'm')]
    run([need('curl'), 'smtps://localhost:%d/c.example' % secure.implicit, *common])
    run([need('curl'), '--ssl-reqd', 'smtp://localhost:%d/c.example' % secure.port, *common])
    for port, starttls in ((secure.port, 'on'), (secure.implicit, 'off')):
        run([need('msmtp'), '--file=/dev/null', '--host=localhost', '--port=%d' % port, '--tls=on', '--tls-starttls=' + starttls,
             '--tls-trust-file=' + secure.ca.certificate, '--from=a@client.example', 'b@dest.example'],
            input=MESSAGE.replace('\r\n', '\n'))
    wait_for(lambda: len(secure.sink.messages) == 4)
    arrived(secure.sink, b'Subject: hello', b'ESMTPS')


def test_nodemailer(secure):
    modules = os.path.join(ROOT, 'build', 'npm', 'node_modules')
    if not os.path.isdir(os.path.join(modules, 'nodemailer')):
        pytest.fail('nodemailer is not installed: run tools/deps')
    code = '''const ca = require("fs").readFileSync("%s");
const send = (port, secure) => require("nodemailer").createTransport({ host: "localhost", port, secure, requireTLS: true,
	tls: { ca } }).sendMail({ from: "a@client.example", to: "b@dest.example", subject: "nodemailer", text: "x" });
send(%d, false).then(() => send(%d, true)).then(r => console.log(r.response), e => { console.error(e); process.exit(1); });
''' % (secure.ca.certificate, secure.port, secure.implicit)
    assert '250 ' in run([need('node'), '-e', code], env=dict(os.environ, NODE_PATH=modules))
    wait_for(lambda: len(secure.sink.messages) == 2)


def test_postfix(secure, make_postfix):
    """Postfix as a client that insists on a certificate that it can verify."""
    postfix = make_postfix(secure.port, more='smtp_tls_security_level = verify\nsmtp_tls_CAfile = %s\n'
                           'smtp_tls_verify_cert_match = relay.test.example\nsmtp_tls_loglevel = 1\n' % secure.ca.certificate)
    run([need('swaks'), '--server', '127.0.0.1:%d' % postfix.port, '--from', 'a@client.example', '--to', 'b@dest.example'])
    wait_for(lambda: secure.sink.messages, 20)
    assert b'with ESMTPS (TLSv1.' in secure.sink.messages[0].content
    assert 'Verified TLS connection established' in postfix.log(), postfix.log()


# ---- what is put between

@pytest.mark.parametrize('behind', ['MAIL FROM:<evil@b.example>\r\n', 'EHLO evil\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<b@dest.example>\r\n',
                                    'X', '\r\n'])
def test_injection(secure, behind):
    """Commands in one packet with STARTTLS are refused, and with them the session."""
    t = Talk(secure.port)
    t.reply()
    t.say('EHLO c')
    t.s.sendall(('STARTTLS\r\n' + behind).encode())
    assert t.reply().startswith('554 5.5.1')
    assert t.f.read() == b''
    t.close()


def test_plain_text_behind(secure):
    """Commands in the clear once the handshake is due are no commands."""
    for at in (b'MAIL FROM:<evil@b.example>\r\n', b'\x16\x03\x01', b'\x80' * 64):
        t = Talk(secure.port)
        t.reply()
        t.say('EHLO c')
        assert t.say('STARTTLS').startswith('220')
        t.s.sendall(at)
        t.s.shutdown(socket.SHUT_WR)
        assert not re.search(rb'250|503|500', t.f.read())
        t.close()
    assert len(secure.relay.wait_event('tls-failed', 3)) == 3
    assert all(e['reason'] in ('tls', 'lost') for e in secure.relay.wait_event('disconnected', 4)[1:])


def test_close_after_tls(secure):
    """A session that ends in TLS is ended by both: no truncation, and nothing in the clear behind it."""
    s = socket.create_connection(('127.0.0.1', secure.implicit), 20)
    s = secure.context().wrap_socket(s, server_hostname='relay.test.example', suppress_ragged_eofs=False)
    assert s.recv(1000).startswith(b'220')
    s.sendall(b'QUIT\r\n')
    assert s.recv(1000).startswith(b'221')
    assert s.recv(1000) == b''      # a ragged end would be an SSLEOFError
    s.close()


# ---- life

def test_reload(secure):
    """A new certificate is for new handshakes; sessions that are open go on with what they have."""
    old = Talk(secure.implicit).tls(secure.context())
    old.reply()
    waiting = Talk(secure.port)         # has not begun TLS yet
    waiting.reply()
    waiting.say('EHLO c')
    first = secure.server.fingerprint
    renewed = secure.ca.issue('relay.test.example', ['relay.test.example', '127.0.0.1'])
    for a, b in ((renewed.certificate, secure.server.certificate), (renewed.key, secure.server.key)):
        with open(a, 'rb') as f, open(b, 'wb') as g:
            g.write(f.read())
    secure.relay.p.send_signal(signal.SIGHUP)
    secure.relay.wait_event('reloaded')

    def shown(t):
        import hashlib
        return hashlib.sha256(t.s.getpeercert(True)).hexdigest()
    new = Talk(secure.implicit).tls(secure.context())
    new.reply()
    assert shown(new) == renewed.fingerprint != first
    assert old.say('EHLO c').startswith('250') and shown(old) == first
    assert old.say('MAIL FROM:<a@client.example>').startswith('250')
    waiting.say('STARTTLS')
    waiting.tls(secure.context())
    assert waiting.say('EHLO c').startswith('250') and shown(waiting) == renewed.fingerprint
    for t in (old, new, waiting):
        t.close()


def test_resumption(secure):
    context = secure.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    t = Talk(secure.implicit).tls(context)
    t.reply()
    session = t.s.session
    t.say('QUIT')
    t.close()
    s = socket.create_connection(('127.0.0.1', secure.implicit), 20)
    again = context.wrap_socket(s, server_hostname='relay.test.example', session=session)
    again.recv(100)
    assert again.session_reused
    again.close()
    wait_for(lambda: [e['resumed'] for e in secure.relay.events('tls')] == ['no', 'yes'])


def test_client_certificate(make_relay, make_sink, tmp_path):
    """A client is recognised by its certificate, and by no other."""
    ca = Authority(tmp_path / 'clients')
    friend, stranger = ca.issue('friend.example', client=True), ca.issue('other.example', client=True)
    secure = Secure(make_relay, make_sink, tmp_path, 'accept from certificate %s to any via next' % friend.fingerprint)
    for who, code in ((friend, '250'), (stranger, '550'), (None, '550')):
        context = secure.context()
        if who:
            context.load_cert_chain(who.certificate, who.key)
        t = Talk(secure.certificates)
        t.reply()
        t.say('EHLO c')
        t.say('STARTTLS')
        t.tls(context)
        t.say('EHLO c')
        answers = [t.say('MAIL FROM:<a@client.example>'), t.say('RCPT TO:<b@dest.example>')]
        assert any(a.startswith('550') for a in answers) == (code == '550'), (answers, code)
        t.close()
    told = secure.relay.wait_event('tls', 3)
    assert told[0]['fingerprint'] == friend.fingerprint and told[0]['subject'] == 'friend.example'
    assert 'fingerprint' not in told[2]


def test_certificate_of_a_proxy(make_relay, make_sink, tmp_path):
    """A proxy's certificate is not that of the clients for whom it speaks."""
    friend, port = Authority(tmp_path / 'clients').issue('friend.example', client=True), free_port()
    secure = Secure(make_relay, make_sink, tmp_path, 'listen 127.0.0.1:%d {\n\tclient_certificates\n\txclient from 127.0.0.1\n}\n'
                    'accept from certificate %s to any via next' % (port, friend.fingerprint))
    context = secure.context()
    context.load_cert_chain(friend.certificate, friend.key)
    t = Talk(port)
    t.reply()
    t.say('EHLO proxy')
    t.say('STARTTLS')
    t.tls(context)
    t.say('EHLO proxy')
    assert t.say('MAIL FROM:<a@client.example>').startswith('250') and t.say('RCPT TO:<b@dest.example>').startswith('250')
    t.say('RSET')
    assert t.say('XCLIENT ADDR=198.51.100.7').startswith('220')
    t.say('EHLO c')
    answers = [t.say('MAIL FROM:<a@client.example>'), t.say('RCPT TO:<b@dest.example>')]
    assert any(a.startswith('550') for a in answers), answers
    t.close()


def test_slow_handshake(secure):
    """Who begins a handshake and says nothing more holds nobody up."""
    slow = [socket.create_connection(('127.0.0.1', secure.implicit), 20) for _ in range(50)]
    for s in slow:
        s.sendall(b'\x16\x03\x01')
    began = time.monotonic()
    t = Talk(secure.implicit).tls(secure.context())
    assert t.reply().startswith('220')
    assert time.monotonic() - began < 5 * PATIENCE
    t.close()
    for s in slow:
        s.close()


@pytest.mark.parametrize('implicit', [False, True])
def test_sslscan(secure, implicit):
    """Nothing that a scanner calls weak: versions, ciphers, compression, renegotiation, heartbleed."""
    out = run([need('sslscan'), '--no-colour', '--show-certificate'] + ([] if implicit else ['--starttls-smtp']) +
              ['127.0.0.1:%d' % (secure.implicit if implicit else secure.port)])
    for name in ('SSLv2', 'SSLv3', 'TLSv1.0', 'TLSv1.1'):
        assert re.search(name + r'\s+disabled', out), out
    for name in ('TLSv1.2', 'TLSv1.3'):
        assert re.search(name + r'\s+enabled', out), out
    assert 'Compression enabled' not in out and 'Session renegotiation not supported' in out, out
    assert 'vulnerable to heartbleed' in out and not re.search(r'(?<!not )vulnerable to heartbleed', out), out
    ciphers = re.findall(r'^(?:Preferred|Accepted)\s+TLSv1\.\d\s+(\d+) bits\s+(\S+)', out, re.M)
    assert ciphers
    for bits, cipher in ciphers:
        assert int(bits) >= 128 and re.match(r'TLS_|ECDHE-', cipher) and not re.search('CBC|SHA$|RC4|3DES|NULL', cipher), cipher


@pytest.mark.parametrize('implicit, checks', [(True, ['-p', '-S', '-U']), (False, ['-p', '-H', '-I', '-R', '-Z'])])
def test_testssl(secure, implicit, checks, tmp_path):
    """Nothing above LOW in versions, certificate, known attacks. The whole scan takes minutes: docs/design/security.md has its result."""
    command = [need('testssl'), '--quiet', '--color', '0', '--warnings', 'off', '--nodns', 'none', '--openssl', need('openssl'),
               '--add-ca', secure.ca.certificate, '--connect-timeout', '10', '--openssl-timeout', '10', '-oj', str(tmp_path / 'found.json'),
               *([] if implicit else ['-t', 'smtp']), *checks, '--ip', '127.0.0.1',
               'localhost:%d' % (secure.implicit if implicit else secure.port)]
    r = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240 * PATIENCE)
    found = json.loads((tmp_path / 'found.json').read_text())
    # WARN and DEBUG are about the scan; and our authority has no list of what it revoked
    bad = [f for f in found if f['severity'] not in ('OK', 'INFO', 'LOW', 'WARN', 'DEBUG') and f['id'] != 'cert_revocation']
    assert not bad, (bad, r.stdout)
    told = {f['id']: f['finding'] for f in found}
    assert told['TLS1_1'].startswith('not offered') and told['TLS1_2'].startswith('offered') and told['TLS1_3'].startswith('offered')
    for attack in ('heartbleed', 'CCS', 'secure_client_renego') + (('ROBOT', 'SWEET32', 'LUCKY13') if implicit else ()):
        assert 'not vulnerable' in told[attack] or 'not support' in told[attack], (attack, told[attack])
