"""What must outlive the process: whom a relay domain has, and who is shut out - after kill -9, a clean restart, a reload."""
import base64, contextlib, os, socket, ssl, subprocess

import pytest

from certs import Authority
from relevo import BINARY, PATIENCE, Sink, free_port, wait_for

TEXT = '''tls {
	certificate %(certificate)s
	key %(key)s
}
users file %(users)s
logins { failures_max 3; ban %(ban)s }
listen 127.0.0.1:%(proxied)d { proxy from 127.0.0.0/8 }
route next { host 127.0.0.1:%(sink)d; recipients callout }
accept from local to domain ours.example via next
'''


def restarted(relay, how):
    if how == 'reload':
        relay.command('reload')
        return
    relay.kill() if how == 'kill' else relay.stop()
    relay.start()


def kept(relay, name, *words):
    """The lines of a file in the state folder, once they hold all these words."""
    def there():
        try:
            with open(os.path.join(relay.state, name)) as f:
                text = f.read()
        except OSError:
            return None
        return text.splitlines()[1:] if all(w in text for w in words) else None
    there.__name__ = '%s in %s' % (words, name)
    return wait_for(there, 20)


def says(stage, argument, session):
    return '550 5.1.1 No such user' if stage == 'rcpt' and 'no' in argument else None


def rcpt(relay, to):
    c = relay.client()
    c.hello()
    assert c.cmd('MAIL FROM:<a@a.example>')[0] == 250
    code, text = c.cmd('RCPT TO:<%s@ours.example>' % to)
    c.close()
    return code, text


@pytest.mark.parametrize('how', ['kill', 'stop'])
def test_recipients(make_relay, how):
    sink = Sink(says)
    try:
        relay = make_relay('route next { host 127.0.0.1:%d; recipients callout }\n'
                           'accept from local to domain ours.example via next\n' % sink.port)
        assert rcpt(relay, 'yes')[0] == 250
        assert rcpt(relay, 'nobody')[0] == 550
        if how == 'kill':
            kept(relay, 'recipients', 'yes@ours.example', 'nobody@ours.example')
    finally:
        sink.close()
    restarted(relay, how)
    assert rcpt(relay, 'yes')[0] == 250
    assert rcpt(relay, 'YES')[0] == 250
    code, text = rcpt(relay, 'nobody')
    assert (code, text[:5]) == (550, '5.1.1')           # a stranger would be accepted while the server is down
    assert rcpt(relay, 'not-asked-yet')[0] == 250
    # damage costs the line, and is told
    relay.stop()
    with open(os.path.join(relay.state, 'recipients'), 'a') as f:
        f.write('maybe\tnext\tx@ours.example\t1\t\n')
    relay.start()
    assert rcpt(relay, 'nobody')[0] == 550
    wait_for(lambda: 'which recipients relay domains have is damaged' in relay.text())


class Guesser:
    """A client that comes through a proxy, so that it is not this machine."""

    def __init__(self, port, ip='192.0.2.77'):
        self.s = socket.create_connection(('127.0.0.1', port), 20 * PATIENCE)
        self.s.sendall(b'PROXY TCP4 %s 192.0.2.250 1000 25\r\n' % ip.encode())
        self.f = self.s.makefile('rb')
        self.greeting = self.reply()

    def reply(self):
        while True:
            line = self.f.readline()
            if line[3:4] != b'-':
                return line.decode()

    def cmd(self, line):
        self.s.sendall(line.encode() + b'\r\n')
        return self.reply()

    def starttls(self):
        assert self.cmd('EHLO x').startswith('250') and self.cmd('STARTTLS').startswith('220')
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.f.close()
        self.s = context.wrap_socket(self.s)
        self.f = self.s.makefile('rb')
        assert self.cmd('EHLO x').startswith('250')

    def guess(self, password):
        return self.cmd('AUTH PLAIN ' + base64.b64encode(b'\0anna\0' + password.encode()).decode())

    def close(self):
        self.f.close()
        self.s.close()


def greeting(port, ip='192.0.2.77'):
    with contextlib.closing(Guesser(port, ip)) as g:
        return g.greeting


def test_bans(make_relay, make_sink, tmp_path):
    server = Authority(tmp_path / 'ca').issue('relay.test.example', ['relay.test.example'])
    users = tmp_path / 'users'
    subprocess.run([BINARY, 'user', 'add', 'anna', '-f', str(users), '--password-stdin'], input='secret\n', text=True, check=True,
                   timeout=60)
    port = free_port()
    words = dict(certificate=server.certificate, key=server.key, users=users, proxied=port, sink=make_sink().port)
    relay = make_relay(TEXT % dict(words, ban='10m'))
    with contextlib.closing(Guesser(port)) as g:
        g.starttls()
        for i in range(3):
            assert not g.guess('guess %d' % i).startswith('235')
    relay.wait_event('banned')
    assert greeting(port).startswith('421 4.7.0')
    assert greeting(port, '192.0.2.78').startswith('220')
    lines = kept(relay, 'bans', '192.0.2.77', '\t1\t')    # one ban
    assert len(lines) == 1 and 'anna' not in lines[0]
    for how in ('reload', 'kill', 'stop', 'kill'):
        restarted(relay, how)
        assert greeting(port).startswith('421 4.7.0'), how
        assert greeting(port, '192.0.2.78').startswith('220')


def test_unlimited_bans_nobody(make_relay, make_sink, tmp_path):
    """Also by a reload: the number is taken over then."""
    server = Authority(tmp_path / 'ca').issue('relay.test.example', ['relay.test.example'])
    users = tmp_path / 'users'
    users.write_text('')
    port = free_port()
    text = TEXT % dict(certificate=server.certificate, key=server.key, users=users, proxied=port, sink=make_sink().port, ban='10m')
    relay = make_relay(text)
    relay.configure(text.replace('failures_max 3', 'failures_max unlimited'))
    relay.command('reload')
    with contextlib.closing(Guesser(port)) as g:
        g.starttls()
        for i in range(4):
            assert not g.guess('guess %d' % i).startswith('235')
    assert greeting(port).startswith('220')
    assert not relay.events('banned')
