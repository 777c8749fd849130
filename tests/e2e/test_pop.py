"""SMTP after POP: a login at the POP3 listener lets its client relay for a time, and nobody else."""
import contextlib, hashlib, os, signal, smtplib, socket, ssl, subprocess, threading

from certs import Authority
from relevo import BINARY, PATIENCE, Client, Sink, free_port, wait_for

TEXT = '''users file %s
pop 127.0.0.1:%d { allow_for 1m }
route next { host 127.0.0.1:%d }
accept from pop to any via next
'''


class Pop:
    def __init__(self, port):
        self.s = socket.create_connection(('127.0.0.1', port), 20)
        self.f = self.s.makefile('rb')
        self.greeting = self.line()
        assert self.greeting.startswith('+OK')

    def line(self):
        return self.f.readline().decode().rstrip('\r\n')

    def cmd(self, line):
        self.s.sendall(line.encode() + b'\r\n')
        return self.line()

    def close(self):
        self.f.close()
        self.s.close()


def may_relay(relay):
    c = relay.client()
    c.hello()
    code, text = c.cmd('MAIL FROM:<a@a.example>')
    if code == 250:
        code, text = c.cmd('RCPT TO:<b@elsewhere.example>')
    c.close()
    return code == 250


def test_login_lets_relay(make_relay, tmp_path):
    users, port = tmp_path / 'users', free_port()
    subprocess.run([BINARY, 'user', 'add', 'anna', '-f', str(users), '--password-stdin'], input='secret\n', text=True, check=True,
                   timeout=60)
    tmp_path.chmod(0o755)
    users.chmod(0o644)
    with contextlib.closing(Sink()) as sink:
        relay = make_relay(TEXT % (users, port, sink.port))
        p = Pop(port)
        assert p.cmd('USER anna') == '+OK'
        assert p.cmd('PASS wrong').startswith('-ERR [AUTH]')
        assert not may_relay(relay)
        assert p.cmd('USER anna') == '+OK'
        assert p.cmd('PASS secret').startswith('+OK')
        assert p.cmd('STAT') == '+OK 0 0'
        assert may_relay(relay)
        assert p.cmd('QUIT').startswith('+OK')
        p.close()
        assert may_relay(relay)
        assert wait_for(lambda: relay.events('popped'))[0]['seconds'] == '60'
        # what is known of clients ends with the process
        relay.stop()
        relay.start()
        assert not may_relay(relay)


def apop(port, name, secret):
    p = Pop(port)
    stamp = p.greeting[p.greeting.index('<'):]
    answer = p.cmd('APOP %s %s' % (name, hashlib.md5((stamp + secret).encode()).hexdigest()))
    p.close()
    return answer


def test_apop(make_relay, make_sink, tmp_path):
    """By a secret of its own beside the users file, which still says who there is and who is disabled."""
    users, secrets, port, plain = tmp_path / 'users', tmp_path / 'secrets', free_port(), free_port()
    users.touch(mode=0o600)
    for name in ('anna@a.example', 'bert'):
        subprocess.run([BINARY, 'user', 'add', name, '-f', str(users), '--password-stdin'], input='secret\n', text=True, check=True,
                       timeout=60)
    secrets.mkdir(0o700)
    for name, mode in (('anna@a.example.apop', 0o600), ('bert.apop', 0o644), ('gone.apop', 0o600), ('provider', 0o600)):
        (secrets / name).write_text('sesame\n')
        (secrets / name).chmod(mode)
    relay = make_relay('users file %s\nsecrets %s\npop 127.0.0.1:%d { apop }\npop 127.0.0.1:%d\nroute next { host 127.0.0.1:%d }\n'
                       'accept from pop to any via next\n' % (users, secrets, port, plain, make_sink().port))
    p = Pop(plain)
    assert '<' not in p.greeting and p.cmd('APOP anna@a.example ' + 32 * '0').startswith('-ERR Not available')
    p.close()
    for name, secret in (('anna@a.example', 'secret'), ('bert', 'sesame'), ('gone', 'sesame'), ('provider', 'sesame')):
        assert apop(port, name, secret).startswith('-ERR [AUTH]'), name
    assert not may_relay(relay)
    assert apop(port, 'Anna@A.example', 'sesame').startswith('+OK')
    assert may_relay(relay)
    subprocess.run([BINARY, 'user', 'disable', 'anna@a.example', '-f', str(users)], check=True, timeout=60)
    wait_for(lambda: apop(port, 'anna@a.example', 'sesame').startswith('-ERR [AUTH]'))


def test_tls_of_a_session_that_was_there(make_relay, make_sink, tmp_path):
    """A key that was renewed in its place: who connected before gets the new certificate, as with SMTP."""
    ca, port, users = Authority(tmp_path / 'ca'), free_port(), tmp_path / 'users'
    users.write_text('')
    server = ca.issue('localhost', ['localhost'])
    relay = make_relay('tls { certificate %s; key %s }\nusers file %s\npop 127.0.0.1:%d\nroute next { host 127.0.0.1:%d; tls off }\n'
                       'accept from pop to any via next\n' % (server.certificate, server.key, users, port, make_sink().port))

    def shown(p):
        assert p.cmd('STLS').startswith('+OK')
        with ssl.create_default_context(cafile=ca.certificate).wrap_socket(p.s.dup(), server_hostname='localhost') as t:
            return hashlib.sha256(t.getpeercert(True)).hexdigest()
    first, before, there = server.fingerprint, Pop(port), Pop(port)
    assert shown(before) == first
    renewed = ca.issue('localhost', ['localhost'])
    for a, b in ((renewed.certificate, server.certificate), (renewed.key, server.key)):
        with open(a, 'rb') as f, open(b, 'wb') as g:
            g.write(f.read())
    relay.command('reload')
    assert shown(there) == renewed.fingerprint != first
    before.close(), there.close()


def test_passed_through(make_relay):
    port, upstream = free_port(), socket.create_server(('127.0.0.1', 0))
    with contextlib.closing(Sink()) as sink, contextlib.closing(upstream):
        relay = make_relay('pop 127.0.0.1:%d { upstream 127.0.0.1:%d tls off }\nroute next { host 127.0.0.1:%d }\n'
                           'accept from pop to any via next\n' % (port, upstream.getsockname()[1], sink.port))
        s = socket.create_connection(('127.0.0.1', port), 20)
        server, _ = upstream.accept()
        f, g = s.makefile('rwb', 0), server.makefile('rwb', 0)
        for asked, answer in ((None, b'+OK hello\r\n'), (b'USER anna\r\n', b'+OK\r\n'), (b'PASS no\r\n', b'-ERR no\r\n'),
                              (b'PASS yes\r\n', b'+OK yours\r\n'), (b'RETR 1\r\n', b'+OK\r\nline\r\n.\r\n')):
            if asked:
                f.write(asked)
                assert g.readline() == asked
            if asked == b'PASS yes\r\n':
                assert not may_relay(relay)
            g.write(answer)
            for line in answer.splitlines(True):
                assert f.readline() == line
        assert may_relay(relay)
        for x in (f, g, s, server):
            x.close()


class Knocker(threading.Thread):
    """Connects again and again; every connection must be greeted by one service or the other."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.greetings, self.bad, self.done = port, [], [], False
        self.start()

    def run(self):
        while not self.done:
            try:
                with socket.create_connection(('127.0.0.1', self.port), 20 * PATIENCE) as s, s.makefile('rb') as f:
                    line = f.readline()
            except OSError as e:
                line = repr(e).encode()
            (self.greetings if line.startswith((b'220 ', b'+OK')) else self.bad).append(line)

    def end(self):
        self.done = True
        self.join(60)
        assert not self.bad, self.bad[:5]
        return {g[:3] for g in self.greetings}


def test_addresses_change_sides(make_relay, make_sink, tmp_path):
    """SMTP becomes POP3 and the other way round, again and again: nobody is turned away, sessions go on."""
    users, a, b = tmp_path / 'users', free_port(), free_port()
    users.write_text('')
    text = 'users file %s\nlisten 127.0.0.1:%%d\npop 127.0.0.1:%%d\nroute next { host 127.0.0.1:%d }\naccept from local to any via next\n' % (
        users, make_sink().port)
    relay = make_relay(text % (a, b))
    old, pop = Client(a), Pop(b)
    old.hello()
    knockers = [Knocker(a), Knocker(b)]
    for i in range(6):
        relay.configure(text % ((b, a) if i % 2 == 0 else (a, b)))
        relay.command('reload')
        smtp, other = (b, a) if i % 2 == 0 else (a, b)
        c, p = Client(smtp), Pop(other)
        assert c.greeting[0] == 220 and p.cmd('CAPA').startswith('+OK')
        c.close(), p.close()
    assert [k.end() for k in knockers] == [{b'220', b'+OK'}] * 2
    assert old.mail(b'Subject: still here\r\n\r\nx\r\n')[0] == 250
    assert pop.cmd('NOOP').startswith('-ERR Log in first')
    old.close(), pop.close()
    # and the supervisor knows it, too: a new worker serves the same
    before = relay.worker()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: relay.worker() not in (None, before))
    wait_for(relay.greets)
    c, p = Client(a), Pop(b)
    assert c.greeting[0] == 220
    c.close(), p.close()


def test_smtp_becomes_implicit_tls(make_relay, make_sink, tmp_path):
    """The same address, by a reload: who is there goes on in clear, who comes next gets TLS at once; and back."""
    ca, port = Authority(tmp_path / 'ca'), free_port()
    server = ca.issue('localhost', ['localhost', '127.0.0.1'])
    text = ('tls { certificate %s; key %s }\nlisten 127.0.0.1:%d%%s\nroute next { host 127.0.0.1:%d; tls off }\n'
            'accept from local to any via next\n' % (server.certificate, server.key, port, make_sink().port))
    context = ssl.create_default_context(cafile=ca.certificate)
    relay = make_relay(text % '')
    for i in range(3):
        old = Client(port)
        old.hello()
        relay.configure(text % ' { tls implicit }')
        relay.command('reload')
        with smtplib.SMTP_SSL('localhost', port, timeout=20 * PATIENCE, context=context) as s:
            s.sendmail('a@a.example', ['b@b.example'], 'Subject: in TLS\n\nx\n')
            relay.configure(text % '')
            relay.command('reload')
            assert s.noop()[0] == 250
        assert old.mail(b'Subject: in clear\r\n\r\nx\r\n')[0] == 250
        old.close()
    c = Client(port)
    assert c.greeting[0] == 220
    c.close()
