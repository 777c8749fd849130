"""The signer dies, hangs and comes back: who is in TLS goes on, new handshakes wait or fail, nobody else is restarted."""
import os, signal, ssl, time

import pytest

from relevo import PATIENCE, wait_for
from test_tls_in import Secure, Talk

SIGN_WAIT = 5       # seconds, run/signer_client.c


def children(relay):
    with open('/proc/%d/task/%d/children' % (relay.p.pid, relay.p.pid)) as f:
        return [int(pid) for pid in f.read().split()]


def name(pid):
    with open('/proc/%d/comm' % pid) as f:
        return f.read().strip()


def state(pid):
    try:
        with open('/proc/%d/stat' % pid) as f:
            return f.read().rsplit(')', 1)[1].split()[0]
    except OSError:
        return None


class Place(Secure):
    def __init__(self, make_relay, make_sink, folder):
        super().__init__(make_relay, make_sink, folder)
        self.worker = int(self.relay.wait_event('started')[0]['pid'])

    def signers(self):
        return [pid for pid in children(self.relay) if name(pid) == 'relevo-signer']

    def signer(self):
        found = self.signers()
        assert len(found) == 1, found
        return found[0]

    def talk(self):
        """A client in TLS. Only full handshakes ask the signer, so none is resumed."""
        t = Talk(self.port)
        t.reply()
        t.say('EHLO c')
        assert t.say('STARTTLS').startswith('220')
        try:
            t.tls(self.context())
        except (ssl.SSLError, OSError):
            t.close()
            raise
        assert t.say('EHLO c').startswith('250')
        return t

    def mail(self, t):
        for line, code in (('MAIL FROM:<a@client.example>', '250'), ('RCPT TO:<b@dest.example>', '250'), ('DATA', '354'),
                           ('Subject: x\r\n\r\nx\r\n.', '250')):
            assert t.say(line).startswith(code), line

    def kill(self):
        pid = self.signer()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: state(pid) is None)
        return pid


@pytest.fixture
def place(make_relay, make_sink, tmp_path):
    p = Place(make_relay, make_sink, tmp_path)
    yield p
    assert p.worker in children(p.relay)        # nothing of this costs the worker
    assert not p.relay.events('crashed') and len(p.relay.events('started')) == 1


def test_killed(place):
    """The next one is there at once; after a second death it takes a second, which a handshake waits for."""
    old = place.talk()
    first = place.kill()
    place.talk().close()
    assert place.signer() != first
    place.kill()
    began = time.monotonic()
    place.talk().close()
    assert 0.5 < time.monotonic() - began < SIGN_WAIT
    place.mail(old)
    assert 'the signer died (Killed); it is started again' in place.relay.text()
    assert not place.relay.events('tls-failed')


def test_killed_before_a_reload(place):
    """A reload does not wait for the time at which the dead one would be started again."""
    for _ in range(3):
        place.kill()
        place.talk().close()    # until it is there
    place.kill()                # the next try would be in 4 s
    assert not place.signers()
    began = time.monotonic()
    place.relay.command('reload')
    place.talk().close()
    assert time.monotonic() - began < 2 * PATIENCE
    time.sleep(4.5)
    assert len(place.signers()) == 1        # and that time passes without a second one


def test_hangs(place):
    """Handshakes fail after five seconds, with a word in the log; who needs none is served; then all is well again."""
    old, pid = place.talk(), place.signer()
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises((ssl.SSLError, OSError)):
        place.talk()
    assert SIGN_WAIT - 0.5 < time.monotonic() - began < SIGN_WAIT + 5 * PATIENCE
    failed = place.relay.wait_event('tls-failed')[0]
    assert 'signer' in failed['why'], failed
    place.mail(old)
    c = place.relay.client()
    c.hello()
    assert c.mail(b'Subject: x\r\n\r\nx\r\n')[0] == 250
    c.close()
    os.kill(pid, signal.SIGCONT)
    place.talk().close()
    assert place.signer() == pid and len(place.relay.events('tls-failed')) == 1


def test_hangs_and_a_reload_replaces_it(place):
    old, pid = place.talk(), place.signer()
    os.kill(pid, signal.SIGSTOP)
    place.relay.command('reload')
    began = time.monotonic()
    place.talk().close()
    assert time.monotonic() - began < 3 * PATIENCE
    place.mail(old)
    assert pid not in children(place.relay)     # what hangs does not stay behind with the keys
    place.talk().close()


def test_many_questions_while_it_hangs(place):
    """More than the channel holds, and all are answered when it goes on in time."""
    pid = place.signer()
    os.kill(pid, signal.SIGSTOP)
    waiting = []
    for _ in range(100):
        t = Talk(place.implicit)
        t.s = place.context().wrap_socket(t.s, server_hostname='relay.test.example', do_handshake_on_connect=False)
        t.s.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            t.s.do_handshake()
        waiting.append(t)
    time.sleep(1)
    os.kill(pid, signal.SIGCONT)
    for t in waiting:
        t.s.settimeout(20 * PATIENCE)
        t.s.do_handshake()
        assert t.s.recv(100).startswith(b'220')
        t.s.close()
        t.f.close()
    assert not place.relay.events('tls-failed')


def test_a_reload_without_the_key(place):
    """is refused; the signer goes on with what it has, also over its death."""
    os.rename(place.server.key, place.server.key + '.away')
    r = place.relay.command('reload', check=False)
    assert r.returncode == 1 and place.server.key in r.stdout + r.stderr
    place.talk().close()
    place.kill()
    place.talk().close()


def put_key_of_another(secure):
    other = secure.ca.issue('other.example', ['other.example'])
    with open(secure.server.key, 'wb') as f, open(other.key, 'rb') as g:
        f.write(g.read())
    return 'not the key of its certificate: ' + secure.server.key


def test_a_reload_with_the_key_of_another(place):
    """is refused: every handshake would fail. The signer goes on with what it has."""
    why = put_key_of_another(place)
    r = place.relay.command('reload', check=False)
    assert r.returncode == 1 and why in r.stdout + r.stderr
    place.talk().close()


def test_a_start_with_the_key_of_another(make_relay, make_sink, tmp_path):
    secure = Secure(make_relay, make_sink, tmp_path)
    assert secure.relay.stop() == 0
    why = put_key_of_another(secure)
    r = secure.relay.command('run', check=False)
    assert r.returncode == 1 and why in r.stderr
