"""What the end-to-end tests share: a relay under test, a raw client, and a sink that does as it is told.

Everything talks to 127.0.0.0/8 only, uses free ports, is bounded in time, and is ended by process id.
"""
import itertools, os, re, shutil, signal, socket, ssl, subprocess, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get('RELEVO_BIN', os.path.join(ROOT, os.environ.get('RELEVO_BUILD', 'build'), 'relevo'))
TESTDATA = os.environ.get('RELEVO_TESTDATA', os.path.join(ROOT, '..', 'shared', 'testdata'))
EXAMPLES = os.path.join(ROOT, '..', 'shared', 'examples')
# Sanitizer builds are slower: their runs multiply the time-outs.
PATIENCE = float(os.environ.get('RELEVO_PATIENCE', '1'))


# Ports below the kernel's ephemeral range, a part of them for each process: a port that one test keeps free for later must
# not be given to another test's server meanwhile, whoever runs it. Who has a part holds a socket of that name.
PORTS, PORTS_PER_PROCESS = (16800, 32400), 400
claimed = []


def claim_ports():
    for first in range(*PORTS, PORTS_PER_PROCESS):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind('\0relevo-test-ports-%d' % first)
            return claim, itertools.cycle(range(first, first + PORTS_PER_PROCESS))
        except OSError:
            claim.close()
    raise AssertionError('all parts of the ports are taken')


def free_port(host='127.0.0.1'):
    if not claimed:
        claimed.append(claim_ports())
    for port in itertools.islice(claimed[0][1], PORTS_PER_PROCESS):
        with socket.socket() as s:
            try:
                s.bind((host, port))
                return port
            except OSError:
                continue
    raise AssertionError('no free port')


def wait_for(what, seconds=10, every=0.02):
    """Poll until what() is true; returns its value, or fails with the name of the condition."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError('timed out waiting for %s' % (getattr(what, '__name__', what)))
        time.sleep(every)


class Client:
    """A raw SMTP client: sends what it is told, byte by byte if need be, and reads replies."""

    def __init__(self, port, host='127.0.0.1', greet=True, timeout=20, source=None):
        self.s = socket.create_connection((host, port), timeout * PATIENCE, (source, 0) if source else None)
        self.f = self.s.makefile('rb')
        self.greeting = self.reply() if greet else None

    def send(self, data):
        self.s.sendall(data.encode('utf-8', 'surrogateescape') if isinstance(data, str) else data)

    def reply(self):
        """(code, text) of one whole reply; (0, '') when the connection ended."""
        lines = []
        while True:
            line = self.f.readline()
            if not line.endswith(b'\r\n'):
                return 0, b''.join(lines).decode('utf-8', 'replace')
            lines.append(line[4:])
            if line[3:4] != b'-':
                return int(line[:3]), b''.join(lines).decode('utf-8', 'replace').rstrip('\r\n')

    def cmd(self, line):
        self.send(line + '\r\n')
        return self.reply()

    def hello(self, name='client.example'):
        code, text = self.cmd('EHLO ' + name)
        assert code == 250, text
        return text.split('\r\n')[1:]

    def data(self, content, stuff=True):
        """DATA with content (bytes with CRLF); returns the final reply."""
        code, text = self.cmd('DATA')
        if code != 354:
            return code, text
        if stuff:
            content = re.sub(rb'(?m)^\.', b'..', content) if b'\n.' in content or content.startswith(b'.') else content
        self.send(content + (b'' if content.endswith(b'\r\n') or not content else b'\r\n') + b'.\r\n')
        return self.reply()

    def mail(self, content, sender='a@client.example', to=('b@dest.example',), params=''):
        code, text = self.cmd('MAIL FROM:<%s>%s' % (sender, params))
        assert code == 250, (code, text)
        for r in to:
            code, text = self.cmd('RCPT TO:<%s>' % r)
            assert code == 250, (code, text)
        return self.data(content)

    def close(self):
        self.f.close()
        self.s.close()


class Message:
    def __init__(self):
        self.mail, self.rcpt, self.content, self.by = '', [], b'', ''


class Sink:
    """
    An SMTP (or LMTP) server that keeps what it gets. script(stage, argument, session) may return None (the usual
    answer), a reply line or bytes to send instead, 'CUT' to close, or ('SLEEP', seconds). Stages: connect, ehlo, mail, rcpt, data
    (after the command), body (in mid-content), end (the final dot), rset, quit.
    """

    def __init__(self, script=None, offers=('PIPELINING', '8BITMIME', 'SIZE 200000000'), lmtp=False, port=0,
                 host='127.0.0.1', identity=None, implicit=False, offers_tls=None):
        """identity: with .certificate and .key: STARTTLS, or TLS at once. offers_tls: instead of offers, once in TLS."""
        self.tls, self.implicit, self.offers_tls, self.handshakes = None, implicit, offers_tls or offers, []
        if identity:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(identity.certificate, identity.key)
            self.tls.sni_callback = lambda s, name, context: self.handshakes.append(name)
        self.script, self.offers, self.lmtp = script or (lambda *a: None), offers, lmtp
        self.messages, self.sessions, self.commands, self.closed = [], 0, [], False
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self.listener = socket.create_server((host, port or free_port(host)), family=family, backlog=512)
        self.host, self.port = host, self.listener.getsockname()[1]
        self.lock, self.open = threading.Lock(), set()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                if self.closed:
                    return
                continue        # that one client's trouble, or ours for now
            with self.lock:
                self.sessions += 1
                self.open.add(s)
            threading.Thread(target=self.session, args=(s,), daemon=True).start()

    def session(self, s):
        try:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.implicit:
                s = self.tls.wrap_socket(s, server_side=True)
            self.talk(s, s.makefile('rb'))
        except (OSError, ConnectionAbortedError):
            pass
        finally:
            with self.lock:
                self.open.discard(s)
            s.close()

    def answer(self, s, usual, stage, argument='', session=None):
        """Send the scripted or the usual reply; returns its code."""
        act = self.script(stage, argument, session)
        if isinstance(act, tuple) and act[0] == 'SLEEP':
            time.sleep(act[1])
            act = None
        if act == 'CUT':
            raise ConnectionAbortedError
        if act is None:
            act = usual
        raw = act if isinstance(act, bytes) else (act + '\r\n').encode()
        s.sendall(raw)
        try:
            return int(raw[:3])
        except ValueError:
            return 0

    def talk(self, s, f):
        session = {'n': self.sessions}
        m = None
        if self.answer(s, '220 sink.example ESMTP', 'connect', '', session) != 220:
            return
        while True:
            line = f.readline()
            if not line:
                return
            text = line.decode('utf-8', 'replace').rstrip('\r\n')
            verb = text.split(' ')[0].upper()
            with self.lock:
                self.commands.append(text)
            if verb in ('EHLO', 'HELO', 'LHLO'):
                secure = isinstance(s, ssl.SSLSocket)
                offers = self.offers_tls if secure else tuple(self.offers) + (('STARTTLS',) if self.tls else ())
                offers = offers if verb != 'HELO' else ()
                lines = ['sink.example'] + list(offers)
                usual = '\r\n'.join('250%s%s' % ('-' if i < len(lines) - 1 else ' ', x) for i, x in enumerate(lines))
                self.answer(s, usual, 'ehlo', text, session)
            elif verb == 'MAIL':
                m = Message()
                m.mail = text
                if self.answer(s, '250 2.1.0 ok', 'mail', text, session) != 250:
                    m = None
            elif verb == 'RCPT':
                if not m:
                    s.sendall(b'503 5.5.1 MAIL first\r\n')
                elif self.answer(s, '250 2.1.5 ok', 'rcpt', text, session) == 250:
                    m.rcpt.append(text)
            elif verb == 'DATA':
                if not m or not m.rcpt:
                    s.sendall(b'554 5.5.1 no valid recipients\r\n')
                elif self.answer(s, '354 go on', 'data', '', session) == 354:
                    m = self.take(s, f, m, session)
            elif verb == 'BDAT':
                size, last = int(text.split()[1]), text.upper().endswith('LAST')
                chunk = f.read(size)
                if not m or not m.rcpt:
                    s.sendall(b'554 5.5.1 no valid recipients\r\n')
                    continue
                m.content += chunk
                if last:
                    m = self.finish(s, m, session)
                else:
                    s.sendall(b'250 2.0.0 chunk\r\n')
            elif verb == 'RSET':
                m = None
                self.answer(s, '250 2.0.0 ok', 'rset', '', session)
            elif verb == 'STARTTLS' and self.tls:
                if self.answer(s, '220 2.0.0 go on', 'starttls', '', session) == 220:
                    s = self.tls.wrap_socket(s, server_side=True)
                    f = s.makefile('rb')
            elif verb == 'QUIT':
                self.answer(s, '221 2.0.0 bye', 'quit', '', session)
                return
            else:
                self.answer(s, '502 5.5.1 what?', 'other', text, session)

    def take(self, s, f, m, session):
        parts = []
        while True:
            line = f.readline()
            if not line:
                raise ConnectionAbortedError
            if line == b'.\r\n':
                break
            if not parts:
                act = self.script('body', '', session)
                if act == 'CUT':
                    raise ConnectionAbortedError
                if isinstance(act, tuple):
                    time.sleep(act[1])
                elif act:
                    s.sendall((act + '\r\n').encode())
                    raise ConnectionAbortedError
            parts.append(line[1:] if line.startswith(b'.') else line)
        m.content = b''.join(parts)
        return self.finish(s, m, session)

    def finish(self, s, m, session):
        for r in (m.rcpt if self.lmtp else [m.rcpt[0]]):
            if self.answer(s, '250 2.0.0 taken', 'end', r, session) == 250:
                with self.lock:
                    if m not in self.messages:
                        self.messages.append(m)
        return None

    def close(self):
        self.closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)    # a thread in accept() would keep it open
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            for s in list(self.open):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


BASE = '''version 1
hostname relay.test.example
state %(state)s
listen 127.0.0.1:%(port)d
'''


class Relay:
    """build/relevo run, with a configuration of BASE and the text given ({sink} is replaced by its address)."""

    def __init__(self, text, base=BASE, start=True, env=None):
        self.folder = tempfile.mkdtemp(prefix='relevo-e2e-')
        os.chmod(self.folder, 0o755)
        self.state, self.port = os.path.join(self.folder, 'state'), free_port()
        self.conf, self.log = os.path.join(self.folder, 'relevo.conf'), os.path.join(self.folder, 'log')
        self.base, self.env, self.p, self.inside = base, env, None, list     # inside: puts a command into a namespace
        self.configure(text)
        if start:
            self.start()

    def configure(self, text):
        with open(self.conf, 'w') as f:
            f.write(self.base % {'state': self.state, 'port': self.port} + text)

    def start(self, wait=True, args=()):
        out = open(self.log, 'ab')
        if 'LD_PRELOAD' in (self.env or {}):
            args = (*args, '--no-sandbox')      # what is loaded reads files and makes calls of its own
        self.p = subprocess.Popen(self.inside([BINARY, 'run', '-c', self.conf, *args]), stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=out, cwd=self.folder, env=dict(os.environ, **(self.env or {})),
                                  start_new_session=True)
        out.close()
        if wait:
            wait_for(self.greets, 15)

    def greets(self):
        if self.p.poll() is not None:
            raise AssertionError('relevo ended with %s:\n%s' % (self.p.returncode, self.text()))
        try:
            with socket.create_connection(('127.0.0.1', self.port), 2) as s:
                s.settimeout(2)
                return s.recv(512).startswith(b'220')
        except OSError:
            return False

    def client(self, **kw):
        return Client(self.port, **kw)

    def command(self, *args, check=True, input=None, timeout=30):
        """relevo ARGS with -c; returns the finished process."""
        words = list(args)
        at = 2 if words[0] == 'queue' else 1
        words[at:at] = ['-c', self.conf]
        r = subprocess.run([BINARY] + words, capture_output=True, text=True, input=input, timeout=timeout * PATIENCE)
        if check:
            assert r.returncode == 0, (words, r.returncode, r.stdout, r.stderr)
        return r

    def text(self):
        try:
            with open(self.log, errors='replace') as f:
                return f.read()
        except OSError:
            return ''

    def events(self, name):
        """Log lines of one event as dicts."""
        found = []
        for line in self.text().splitlines():
            words = line.split(' ', 2)
            if len(words) >= 2 and words[1] == name:
                pairs = re.findall(r'([a-z0-9_-]+)=("(?:[^"\\]|\\.)*"|\S*)', words[2] if len(words) > 2 else '')
                found.append({k: v[1:-1] if v.startswith('"') else v for k, v in pairs})
        return found

    def wait_event(self, name, n=1, seconds=10):
        def enough():
            e = self.events(name)
            return e if len(e) >= n else None
        enough.__name__ = '%d x %s' % (n, name)
        return wait_for(enough, seconds)

    def worker(self):
        """Process id of the worker, the supervisor's only child."""
        with open('/proc/%d/task/%d/children' % (self.p.pid, self.p.pid)) as f:
            pids = f.read().split()
        return int(pids[0]) if pids else None

    def stop(self, sig=signal.SIGTERM, seconds=20):
        if self.p and self.p.poll() is None:
            self.p.send_signal(sig)
            try:
                self.p.wait(seconds * PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self.p.pid, signal.SIGKILL)
                self.p.wait()
                raise AssertionError('relevo did not stop:\n' + self.text()[-3000:])
        return self.p.returncode if self.p else None

    def kill(self):
        """kill -9 of the whole process group, as a power button would."""
        os.killpg(self.p.pid, signal.SIGKILL)
        self.p.wait()

    def close(self):
        if self.p and self.p.poll() is None:
            try:
                os.killpg(self.p.pid, signal.SIGKILL)
            except OSError:
                pass
            self.p.wait()
        text = self.text()
        shutil.rmtree(self.folder, ignore_errors=True)
        for word in ('AddressSanitizer', 'ThreadSanitizer', 'runtime error:', 'Assertion'):
            assert word not in text, text[-20000:]


ROUTE = '''route next {
	host 127.0.0.1:%d
}
accept from local to any via next
'''


def split_trace(content):
    """What the relay put before the message, and the rest: (trace, original)."""
    m = re.match(rb'Received: from [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*', content)
    assert m, content[:200]
    trace, rest = m.group(0), content[m.end():]
    return trace, rest
