"""Logins: every mechanism by real clients, submission, who may send as whom, guesses, what is never logged, Dovecot."""
import base64, contextlib, os, shutil, smtplib, socket, ssl, subprocess, time

import pytest

from certs import Authority
from relevo import BINARY, PATIENCE, ROOT, Client, free_port, wait_for
from test_clients import MESSAGE, arrived, need, run

CONF = '''tls {
	certificate %(certificate)s
	key %(key)s
}
listen 127.0.0.1:%(submission)d {
	submission
	tls required
	login mechanisms %(mechanisms)s
}
%(users)s
route next {
	host 127.0.0.1:%(sink)d
	tls off
}
%(more)s
accept from login to any via next
'''
OFFERED = 'plain login scram-sha-1 scram-sha-256 scram-sha-256-plus'
USER, PASSWORD = 'alice@client.example', 'Open Sesame!'


class Submission:
    def __init__(self, make_relay, make_sink, folder, users=None, more='', mechanisms=OFFERED):
        self.ca, self.sink = Authority(folder / 'ca'), make_sink()
        server = self.ca.issue('relay.test.example', ['relay.test.example', 'localhost', '127.0.0.1'])
        self.port = free_port()
        path = str(folder / 'users')
        if not users:
            run([BINARY, 'user', 'add', USER, '-f', path, '--password-stdin', '--scram-sha-1'], input=PASSWORD + '\n')
            users = 'users file ' + path
        self.users = path
        self.relay = make_relay(CONF % dict(certificate=server.certificate, key=server.key, submission=self.port, users=users,
                                            sink=self.sink.port, more=more, mechanisms=mechanisms))

    def smtp(self):
        s = smtplib.SMTP('localhost', self.port, timeout=20 * PATIENCE)
        s.starttls(context=ssl.create_default_context(cafile=self.ca.certificate))
        return s

    def login_and_send(self, password=PASSWORD, sender=USER):
        with self.smtp() as s:
            s.login(USER, password)
            return s.sendmail(sender, ['b@dest.example'], MESSAGE)


@pytest.fixture
def submission(make_relay, make_sink, tmp_path):
    return Submission(make_relay, make_sink, tmp_path)


@pytest.mark.parametrize('kind', ['PLAIN', 'LOGIN'])
def test_swaks(submission, kind):
    run([need('swaks'), '--server', 'localhost', '--port', str(submission.port), '--tls', '--tls-verify', '--tls-ca-path',
         submission.ca.certificate, '--auth', kind, '--auth-user', USER, '--auth-password', PASSWORD, '--from', USER,
         '--to', 'b@dest.example'])
    arrived(submission.sink, b'with ESMTPSA (TLSv1.')


@pytest.mark.parametrize('kind', ['plain', 'login', 'scram-sha-1', 'scram-sha-256'])
def test_msmtp(submission, kind):
    run([need('msmtp'), '--file=/dev/null', '--host=localhost', '--port=%d' % submission.port, '--tls=on', '--tls-starttls=on',
         '--tls-trust-file=' + submission.ca.certificate, '--auth=' + kind, '--user=' + USER, '--passwordeval=echo "%s"' % PASSWORD,
         '--from=' + USER, 'b@dest.example'], input=MESSAGE.replace('\r\n', '\n'))
    arrived(submission.sink, b'with ESMTPSA (TLSv1.')
    assert submission.relay.wait_event('login')[0]['mechanism'].startswith(kind.upper())


@pytest.mark.parametrize('kind', ['PLAIN', 'LOGIN', 'SCRAM-SHA-1', 'SCRAM-SHA-256'])
def test_curl(submission, kind, tmp_path):
    (tmp_path / 'm').write_bytes(MESSAGE.encode())
    args = [need('curl'), '--no-progress-meter', '--ssl-reqd', '--cacert', submission.ca.certificate, '--login-options',
            'AUTH=' + kind, '-u', '%s:%s' % (USER, PASSWORD), 'smtp://localhost:%d/c.example' % submission.port, '--mail-from',
            USER, '--mail-rcpt', 'b@dest.example', '--upload-file', str(tmp_path / 'm')]
    if kind.startswith('SCRAM') and 'gsasl' not in run([need('curl'), '-V']):
        pytest.skip('this curl has no SCRAM')
    run(args)
    arrived(submission.sink, b'with ESMTPSA (TLSv1.')


@pytest.mark.parametrize('kind', ['PLAIN', 'LOGIN', 'SCRAM-SHA-1', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'])
def test_gsasl(make_relay, make_sink, tmp_path, kind):
    """GNU SASL knows channel binding; a wrong password is wrong there, too."""
    s = Submission(make_relay, make_sink, tmp_path, mechanisms=kind.lower())

    def login(password):
        return subprocess.run([need('gsasl'), '--smtp', '--connect=localhost:%d' % s.port, '--x509-ca-file=' + s.ca.certificate,
                               '--mechanism=' + kind, '--authentication-id=' + USER, '--password=' + password] + ([] if kind.endswith('PLUS') else ['--no-cb']),
                              input='', text=True, capture_output=True, timeout=60 * PATIENCE)
    r = login(PASSWORD)
    assert r.returncode == 0, r.stderr + r.stdout
    assert s.relay.wait_event('login')[0]['mechanism'] == kind
    assert login('wrong').returncode != 0
    assert s.relay.wait_event('login-failed')[0]['user'] == USER


@pytest.mark.parametrize('kind', ['CRAM-MD5', 'CRAM-SHA1', 'DIGEST-MD5'])
def test_what_is_not_offered(submission, kind):
    """swaks knows these; they want the password in the file, so they are not there."""
    r = subprocess.run([need('swaks'), '--server', 'localhost', '--port', str(submission.port), '--tls', '--auth', kind, '--auth-user', USER,
                        '--auth-password', PASSWORD, '--from', USER, '--to', 'b@dest.example'], capture_output=True, text=True,
                       timeout=60 * PATIENCE)
    assert r.returncode == 28 and '\n ~> AUTH' not in r.stdout, (r.returncode, r.stdout)
    with submission.smtp() as s:
        s.ehlo()
        assert kind.lower() not in s.esmtp_features['auth'].lower().split()
        assert s.docmd('AUTH ' + kind)[0] == 504
        assert s.docmd('AUTH ' + kind.lower(), '=')[0] == 504
    assert not submission.sink.messages and not submission.relay.events('login')


def test_nodemailer(submission):
    modules = os.path.join(ROOT, 'build', 'npm', 'node_modules')
    if not os.path.isdir(os.path.join(modules, 'nodemailer')):
        pytest.fail('nodemailer is not installed: run tools/deps')
    code = '''require("nodemailer").createTransport({ host: "localhost", port: %d, requireTLS: true, auth: { user: "%s", pass: "%s" },
	tls: { ca: require("fs").readFileSync("%s") } }).sendMail({ from: "%s", to: "b@dest.example", subject: "n", text: "x" })
.then(r => console.log(r.response), e => { console.error(e); process.exit(1); });''' % (
        submission.port, USER, PASSWORD, submission.ca.certificate, USER)
    assert '250 ' in run([need('node'), '-e', code], env=dict(os.environ, NODE_PATH=modules))


def test_submission(submission):
    """Nothing before TLS, nothing before AUTH, and then only one's own sender."""
    with contextlib.closing(Client(submission.port)) as c:
        offers = c.hello()
        assert 'STARTTLS' in offers and not [o for o in offers if o.startswith('AUTH')]
        assert c.cmd('AUTH PLAIN ' + base64.b64encode(b'\0a\0b').decode())[0] == 530
        assert c.cmd('MAIL FROM:<%s>' % USER)[0] == 530
    with submission.smtp() as s:
        s.ehlo()
        assert 'scram-sha-256-plus' in s.esmtp_features['auth'].lower()
        assert s.mail(USER) == (530, b'5.7.0 Log in first')
        s.login(USER, PASSWORD)
        assert s.mail('bob@client.example')[0] == 553
        assert s.mail(USER)[0] == 250
        assert s.rcpt('anybody@elsewhere.example')[0] == 250
        code, text = s.data('Subject: no date\r\n\r\nx\r\n')
        assert code == 250
    arrived(submission.sink, b'\r\nDate: ', b'\r\nMessage-ID: <', b'with ESMTPSA')
    assert submission.relay.wait_event('received')[0]['login'] == USER


def test_more_senders_and_passwords(submission):
    """What relevo user changes is in force within seconds."""
    with pytest.raises(smtplib.SMTPSenderRefused):
        submission.login_and_send(sender='news@client.example')
    run([BINARY, 'user', 'allow', USER, 'news@client.example', '-f', submission.users])
    time.sleep(1.5)
    submission.login_and_send(sender='news@client.example')
    run([BINARY, 'user', 'disable', USER, '-f', submission.users])
    time.sleep(1.5)
    with pytest.raises(smtplib.SMTPAuthenticationError) as e:
        submission.login_and_send()
    assert e.value.smtp_code == 535


def test_guesses(submission):
    """Wrong passwords are answered later and later; no password is ever in the log."""
    took = []
    for i in range(5):
        began = time.monotonic()
        with pytest.raises(smtplib.SMTPAuthenticationError):
            submission.login_and_send('secret guess %d' % i)
        took.append(time.monotonic() - began)
    assert took[0] < 0.9 * PATIENCE and took[-1] > 0.9, took
    submission.login_and_send()
    failed = submission.relay.wait_event('login-failed', 5)
    assert failed[0]['user'] == USER and failed[0]['client'] == '127.0.0.1' and 'password' in failed[0]['why']
    told = submission.relay.text()
    for word in ('secret', PASSWORD, base64.b64encode(('\0%s\0%s' % (USER, PASSWORD)).encode()).decode(),
                 base64.b64encode(PASSWORD.encode()).decode()):
        assert word not in told


@pytest.mark.parametrize('extended, code', [(True, 334), (False, 535)])
def test_exporter_in_tls_1_2(submission, extended, code):
    """Without the extended master secret the exporter binds nothing (RFC 9266): no login by it."""
    context = ssl.create_default_context(cafile=submission.ca.certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= 0 if extended else 1     # SSL_OP_NO_EXTENDED_MASTER_SECRET
    with smtplib.SMTP('localhost', submission.port, timeout=20 * PATIENCE) as s:
        s.starttls(context=context)
        s.ehlo()
        first = base64.b64encode(b'p=tls-exporter,,n=%s,r=abcdefgh' % USER.encode()).decode()
        assert s.docmd('AUTH', 'SCRAM-SHA-256-PLUS ' + first)[0] == code
        assert s.docmd('*')[0] in (500, 501)


def test_transcript_masks(make_relay, make_sink, tmp_path):
    s = Submission(make_relay, make_sink, tmp_path, more='log transcript for 127.0.0.1')
    s.login_and_send()
    told = s.relay.text()
    assert 'ehlo' in told and PASSWORD not in told
    assert base64.b64encode(('\0%s\0%s' % (USER, PASSWORD)).encode()).decode() not in told


# ---- Dovecot judges

DOVECOT = '''base_dir = %(d)s/run
state_dir = %(d)s/run
log_path = %(d)s/log
ssl = no
protocols =
default_internal_user = root
default_login_user = nobody
default_internal_group = root
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
first_valid_uid = 0
passdb {
  driver = passwd-file
  args = %(d)s/passwd
}
service auth {
  unix_listener %(d)s/socket {
    mode = 0666
  }
  inet_listener {
    address = 127.0.0.1
    port = %(port)d
  }
}
service anvil {
  chroot =
}
'''


@pytest.fixture
def dovecot(tmp_path):
    """(the socket that judges logins, the same by TCP, the process)"""
    if os.getuid() != 0:
        pytest.skip('Dovecot needs root to start')
    program = shutil.which('dovecot', path='/usr/sbin:/usr/bin')
    if not program:
        pytest.fail('dovecot is not installed: run tools/deps')
    d = tmp_path / 'dovecot'
    d.mkdir()
    port = free_port()
    (d / 'conf').write_text(DOVECOT % {'d': d, 'port': port})
    (d / 'passwd').write_text('%s:{PLAIN}%s\n' % (USER, PASSWORD))
    p = subprocess.Popen([program, '-F', '-c', str(d / 'conf')], stdin=subprocess.DEVNULL)
    socket_path = d / 'socket'
    try:
        wait_for(socket_path.exists, 15)
    except AssertionError:
        print((d / 'log').read_text() if (d / 'log').exists() else 'no log')
        p.terminate()
        p.wait()
        raise
    yield socket_path, port, p
    if p.poll() is None:
        p.terminate()
        p.wait(10)


@pytest.mark.parametrize('kind', ['plain', 'login', 'scram-sha-256'])
def test_dovecot(make_relay, make_sink, tmp_path, dovecot, kind):
    path, _, p = dovecot
    s = Submission(make_relay, make_sink, tmp_path, users='users dovecot unix:%s' % path)

    def msmtp(password):
        return subprocess.run([need('msmtp'), '--file=/dev/null', '--host=localhost', '--port=%d' % s.port, '--tls=on',
                               '--tls-starttls=on', '--tls-trust-file=' + s.ca.certificate, '--auth=' + kind, '--user=' + USER,
                               '--passwordeval=echo "%s"' % password, '--from=' + USER, 'b@dest.example'],
                              input=MESSAGE.replace('\r\n', '\n'), text=True, capture_output=True, timeout=60)
    assert msmtp('wrong').returncode != 0
    r = msmtp(PASSWORD)
    assert r.returncode == 0, r.stderr
    arrived(s.sink, b'with ESMTPSA')
    assert s.relay.wait_event('login')[0]['backend'] == 'dovecot'
    assert s.relay.wait_event('login-failed')[0]['result'] == 'wrong'
    p.terminate()
    p.wait(10)
    with pytest.raises(smtplib.SMTPAuthenticationError) as e:
        s.login_and_send()
    assert e.value.smtp_code == 454


@pytest.mark.parametrize('kind', ['plain', 'login', 'scram-sha-256'])
def test_disabled_beside_dovecot(make_relay, make_sink, tmp_path, dovecot, kind):
    """relevo user disable puts a user out whom Dovecot, or another users file, still lets in; by POP3 as well."""
    here, other, pop = tmp_path / 'here', tmp_path / 'other', free_port()
    for path, name in ((here, USER), (other, USER), (other, 'bob')):
        run([BINARY, 'user', 'add', name, '-f', str(path), '--password-stdin'], input=PASSWORD + '\n')
    run([BINARY, 'user', 'passwd', USER, '-f', str(here), '--password-stdin'], input='another one\n')
    s = Submission(make_relay, make_sink, tmp_path, more='pop 127.0.0.1:%d' % pop,
                   users='users dovecot unix:%s\nusers file %s\nusers file %s' % (dovecot[0], other, here))

    def login(user=USER):
        return subprocess.run([need('gsasl'), '--smtp', '--connect=localhost:%d' % s.port, '--x509-ca-file=' + s.ca.certificate, '--no-cb',
                               '--mechanism=' + kind.upper(), '--authentication-id=' + user, '--password=' + PASSWORD],
                              input='', text=True, capture_output=True, timeout=60 * PATIENCE).returncode

    def pops():
        with socket.create_connection(('127.0.0.1', pop), 60) as p, p.makefile('rwb', 0) as f:
            f.readline()
            f.write(b'USER %s\r\nPASS %s\r\n' % (USER.encode(), PASSWORD.encode()))
            f.readline()
            return f.readline()[:3] == b'+OK'
    assert login() == 0 and pops()
    run([BINARY, 'user', 'disable', USER, '-f', str(here)])
    time.sleep(1.5)
    assert login() != 0 and not pops()
    assert s.relay.wait_event('login-failed', 2)[0]['why'] == 'disabled in the users file'
    assert login('bob') == 0
    # nobody knows who is disabled where a users file was never read
    here.write_text('nonsense\n')
    s.relay.stop()
    s.relay.start()
    assert login('bob') != 0
    assert s.relay.wait_event('login-failed', 3)[2]['result'] == 'later'


def test_connections_per_login(make_relay, make_sink, tmp_path):
    s = Submission(make_relay, make_sink, tmp_path, more='limit 2 connections per login')
    first, second, third = s.smtp(), s.smtp(), s.smtp()
    first.login(USER, PASSWORD)
    second.login(USER, PASSWORD)
    with pytest.raises((smtplib.SMTPException, OSError)) as e:
        third.login(USER, PASSWORD)
    assert '421' in str(e.value) or third.sock is None
    assert first.noop()[0] == second.noop()[0] == 250
    first.quit()
    fourth = s.smtp()
    wait_for(lambda: len(s.relay.events('disconnected')) >= 2)
    fourth.login(USER, PASSWORD)
    for c in (second, fourth):
        c.quit()


def test_a_connection_counts_once(make_relay, make_sink, tmp_path):
    """STARTTLS forgets the login and its count; a login that a proxy tells counts like any other."""
    port, proxied = free_port(), free_port()
    s = Submission(make_relay, make_sink, tmp_path, more='limit 1 connections per login\nlisten 127.0.0.1:%d {\n\tlogin mechanisms plain\n}\n'
                   'listen 127.0.0.1:%d {\n\txclient from 127.0.0.1\n}' % (port, proxied))
    word = base64.b64encode(('\0%s\0%s' % (USER, PASSWORD)).encode()).decode()
    with smtplib.SMTP('localhost', port, timeout=20 * PATIENCE) as c:
        c.ehlo()
        assert c.docmd('AUTH PLAIN', word)[0] == 235
        c.starttls(context=ssl.create_default_context(cafile=s.ca.certificate))
        c.ehlo()
        assert c.docmd('AUTH PLAIN', word)[0] == 235
        for _ in range(2):
            with contextlib.closing(Client(proxied)) as p:
                p.hello()
                assert p.cmd('XCLIENT ADDR=198.51.100.7 LOGIN=' + USER)[0] == 421
    with contextlib.closing(Client(proxied)) as p, contextlib.closing(Client(proxied)) as q:
        wait_for(lambda: len(s.relay.events('disconnected')) >= 3)
        p.hello(), q.hello()
        assert p.cmd('XCLIENT LOGIN=' + USER)[0] == 220
        assert p.cmd('XCLIENT ADDR=198.51.100.7')[0] == 220     # the next line of the same proxy
        assert q.cmd('XCLIENT LOGIN=' + USER)[0] == 421
