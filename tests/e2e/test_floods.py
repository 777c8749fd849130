"""Floods and bombs, each bounded: a good client is served within a second meanwhile, and the worker's memory is flat afterwards."""
import collections, contextlib, os, re, resource, select, socket, ssl, subprocess, threading, time

import pytest

import certs
from relevo import BINARY, PATIENCE, ROUTE, Client, Relay, free_port, wait_for

IDLE, SLOW, DEAF = 10_000, 2_000, 50
SERVED = 1.0 * PATIENCE     # seconds for a good client: connect, one message, 250
# A sanitizer's memory is its own (shadow, margins, what it keeps from what was freed): there only the service is looked at.
ANY = float('inf') if PATIENCE > 1 else 0
GROWTH_MIB = ANY or 12      # what a second flood may add to what the first has left: caches, and pages of a heap
PEAK_MIB = ANY or 6         # what one client can make the worker take meanwhile: its content in memory, and what waits to go on
EACH_KIB = ANY or 16        # a connection that is open
LISTEN = '''version 1
hostname relay.test.example
state %(state)s
listen 127.0.0.1:%(port)d {
	connections_max 20000
}
'''


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def source(i):
    """Clients come from many addresses: 250 networks of /24."""
    return '127.0.%d.%d' % (i % 250 + 1, i // 250 % 250 + 1)


def pss(relay):
    with open('/proc/%d/smaps_rollup' % relay.worker()) as f:
        return int(re.search(r'^Pss:\s+(\d+)', f.read(), re.M).group(1)) / 1024


def peak(relay, again=False):
    """MiB that the worker took at most since the last look that said "again"."""
    folder = '/proc/%d/' % relay.worker()
    with open(folder + 'status') as f:
        most = int(re.search(r'^VmHWM:\s+(\d+)', f.read(), re.M).group(1)) / 1024
    if again:
        with open(folder + 'clear_refs', 'w') as f:
            f.write('5')
    return most


def settled(relay, seconds=8):
    """MiB once the worker has given back what it will: the lowest of some looks."""
    low = pss(relay)
    for _ in range(seconds * 4):
        time.sleep(0.25)
        low = min(low, pss(relay))
    return low


def serve(relay, n=5, limit=SERVED):
    """Good clients, one after the other; the longest took."""
    worst = 0
    for i in range(n):
        start = time.monotonic()
        c = relay.client(timeout=30)
        c.hello()
        assert c.mail(b'Subject: good %d\r\n\r\nx\r\n' % i)[0] == 250
        c.close()
        worst = max(worst, time.monotonic() - start)
    assert worst < limit, 'a good client took %.2f s' % worst
    return worst


class Crowd:
    """Many connections of this process, each read when something comes; closed at the end."""

    def __init__(self, port, n):
        self.poll, self.all, self.heard = select.epoll(), {}, collections.Counter()
        for i in range(n):
            s = socket.socket()
            s.bind((source(i), 0))
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                s.connect(('127.0.0.1', port))
            self.all[s.fileno()] = s
            self.poll.register(s, select.EPOLLIN)
            if i % 200 == 199:
                self.read(0)

    def read(self, seconds):
        """Reads what comes; .heard counts replies by their codes, and those that ended are forgotten."""
        for fd, _ in self.poll.poll(seconds, 4096):
            try:
                data = self.all[fd].recv(4096)
            except OSError:
                data = b''
            self.heard.update(re.findall(rb'(?m)^(\d\d\d) ', data))
            if not data:
                self.poll.unregister(fd)
                self.all.pop(fd).close()

    def hear(self, code, n, seconds=30):
        """Until so many have heard it."""
        end = time.monotonic() + seconds * PATIENCE
        while self.heard[code] < n and time.monotonic() < end:
            self.read(0.2)
        assert self.heard[code] == n, self.heard
        self.heard.clear()

    def say(self, some, line, code):
        """Each of them says it and hears that code."""
        for s in some:
            s.send(line)
        self.hear(code, len(some))

    def deafen(self, some):
        """They read nothing any more."""
        for s in some:
            self.poll.unregister(s)

    def close(self):
        for s in self.all.values():
            s.close()
        self.all = {}
        self.poll.close()


def drip(talkers, writers, stop):
    """One octet of a command or of content now and then: the relay hears from each every two seconds."""
    while not stop.is_set():
        for some, octet in ((talkers, b'N'), (writers, b'x')):
            for s in some:
                with contextlib.suppress(OSError):
                    s.send(octet)
        stop.wait(2)


def slow_down(crowd, some):
    """
    Slow in each way that there is: half of them say half a command, half are within content, and some have asked for more replies than
    their windows hold and read none. Returns those of whom the drip is.
    """
    half = len(some) // 2
    deaf, talkers, writers = some[:DEAF], some[DEAF:half], some[half:]
    crowd.say(writers, b'EHLO slow.example\r\n', b'250')
    crowd.say(writers, BEGIN + b'DATA\r\n', b'354')
    crowd.say(deaf, b'EHLO slow.example\r\n', b'250')
    crowd.deafen(deaf)
    send_ahead(deaf)
    return talkers, writers


def send_ahead(some):
    """Commands as many as the socket takes, which all have a reply."""
    for s in some:
        with contextlib.suppress(BlockingIOError):
            s.send(BEGIN + b'RCPT TO:<c@elsewhere.example> NOTIFY=NEVER\r\n' * 3000)


def test_idle_and_slow_clients(make_relay, make_sink):
    """
    10,000 idle and 2,000 slow clients cost no one else anything. What the first flood leaves (a page for each task that there was at once,
    and a heap of that size) is all: further ones find their memory there.
    """
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 7 // 8 < IDLE + SLOW + 1000:
        pytest.skip('too few descriptors are allowed here')
    sink = make_sink()
    relay = make_relay('message {\n\trecipients_max 5000\n}\n' + ROUTE % sink.port, base=LISTEN)
    serve(relay)
    after = [settled(relay, 1)]
    for _ in range(3):
        crowd, stop = Crowd(relay.port, IDLE + SLOW), threading.Event()
        dripping = None
        try:
            crowd.hear(b'220', IDLE + SLOW)
            slow = slow_down(crowd, list(crowd.all.values())[:SLOW])
            dripping = threading.Thread(target=drip, args=(*slow, stop))
            dripping.start()
            end = time.monotonic() + 6
            while time.monotonic() < end:
                serve(relay, 10)
                crowd.read(0)
            assert len(crowd.all) == IDLE + SLOW
            each = (pss(relay) - after[0]) * 1024 / (IDLE + SLOW)
            assert each < EACH_KIB, 'each connection costs %.1f KiB' % each
        finally:
            stop.set()
            if dripping:
                dripping.join()
            crowd.close()
        serve(relay)
        after.append(settled(relay, 4))
    assert after[3] - after[2] < GROWTH_MIB / 2, after
    wait_for(lambda: len(sink.messages) > 20)


def test_busy_clients(make_relay, make_sink):
    """Hundreds who send ahead all that their sockets take have a share of the time, not a turn of a thousand commands each."""
    relay = make_relay('message {\n\trecipients_max 5000\n}\n' + ROUTE % make_sink().port, base=LISTEN)
    serve(relay)
    crowd = Crowd(relay.port, 400)
    crowd.hear(b'220', 400)
    some = list(crowd.all.values())
    crowd.say(some, b'EHLO busy.example\r\n', b'250')
    crowd.deafen(some)
    send_ahead(some)
    serve(relay, 10)
    crowd.close()


def flood(port, seconds, each, counts):
    """Connect and go away, as fast as it goes."""
    end, n = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            s = socket.socket()
            s.settimeout(5)
            s.bind((source(n * 7 + id(counts) % 997), 0))
            s.connect(('127.0.0.1', port))
            each(s)
            s.close()
        n += 1
    counts.append(n)


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')


def talk_and_go(s):
    s.send(b'EHLO x\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@dest.example>\r\nDATA\r\n')


@pytest.mark.parametrize('each', [lambda s: None, reset, talk_and_go], ids=['close', 'reset', 'talk'])
def test_connection_flood(make_relay, make_sink, each):
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port, base=LISTEN)
    after = []
    for _ in range(2):
        counts = []
        threads = [threading.Thread(target=flood, args=(relay.port, 4, each, counts)) for _ in range(4)]
        for t in threads:
            t.start()
        try:
            serve(relay, 10)
        finally:
            for t in threads:
                t.join()
        assert sum(counts) > 500, counts
        after.append(settled(relay, 3))
    assert after[1] - after[0] < GROWTH_MIB, after
    serve(relay, 3)


def test_more_than_may_come(make_relay, make_sink):
    """Beyond connections_max: 421, at once; and the places of those who go are free again."""
    relay = make_relay(ROUTE % make_sink().port, base=LISTEN.replace('20000', '50'))
    wait_for(lambda: len(relay.events('disconnected')) == len(relay.events('connected')))
    clients = [relay.client() for _ in range(50)]
    assert all(c.greeting[0] == 220 for c in clients)
    for _ in range(20):
        c = relay.client()
        assert c.greeting[0] == 421
        c.close()
    for c in clients[:10]:
        assert c.cmd('QUIT')[0] == 221
        c.close()
    wait_for(lambda: relay.client().greeting[0] == 220)


def behind_a_proxy(make_relay, sink, listen, more=''):
    """Clients of this machine are not counted, so others come through a proxy: relay.proxied is its port."""
    port = free_port()
    relay = make_relay(more + ROUTE % sink.port + 'accept from 192.0.2.0/24 to any via next\n'
                       + 'listen 127.0.0.1:%d {\n\tproxy from 127.0.0.0/8\n\t%s\n}\n' % (port, listen), base=LISTEN)
    relay.proxied = port
    return relay


def come_from(relay, ip, greeted=220):
    c = Client(relay.proxied, greet=False)
    c.send('PROXY TCP4 %s 192.0.2.250 1000 25\r\n' % ip)
    code, text = c.reply()
    assert code == greeted, (code, text)
    return c


def test_one_client_has_a_share(make_relay, make_sink):
    """A tenth of an address's connections, by default; other clients are served, and it is again when it has gone."""
    relay = behind_a_proxy(make_relay, make_sink(), 'connections_max 300')
    clients = [come_from(relay, '192.0.2.7') for _ in range(30)]
    for _ in range(10):
        come_from(relay, '192.0.2.7', greeted=421).close()
    other = come_from(relay, '192.0.2.8')
    other.hello()
    assert other.mail(b'Subject: other\r\n\r\nx\r\n')[0] == 250
    other.close()
    assert clients[0].cmd('QUIT')[0] == 221
    wait_for(lambda: [e for e in relay.events('disconnected') if e['reason'] == 'quit'])
    clients.append(come_from(relay, '192.0.2.7'))
    for c in clients:
        c.close()


def test_as_many_addresses_as_there_may_be(make_relay, make_sink):
    """A reload exchanges all of them, though for a moment there are twice as many; one more is an error that is told at once."""
    route, port = ROUTE % make_sink().port, free_port()

    def listen(*hosts):
        return route + ''.join('listen %s:%d\n' % (h, port) for h in hosts)

    old, new = ['127.0.1.%d' % i for i in range(1, 256)], ['127.0.2.%d' % i for i in range(1, 256)]
    relay = make_relay(listen(*old), base=LISTEN)
    Client(port, host=old[-1]).close()
    relay.configure(listen(*new))
    relay.command('reload')
    Client(port, host=new[-1]).close()

    def is_closed():
        try:
            Client(port, host=old[-1]).close()
        except OSError:
            return True
        return False

    wait_for(is_closed)
    relay.configure(listen(*new, '127.0.3.1'))
    assert 'more than 256 addresses to listen on' in relay.command('check', check=False).stderr


def test_another_share_is_written(make_relay, make_sink):
    relay = behind_a_proxy(make_relay, make_sink(), 'connections_max 300', 'limit 40 connections per client\n')
    clients = [come_from(relay, '192.0.2.7') for _ in range(40)]
    come_from(relay, '192.0.2.7', greeted=421).close()
    for c in clients:
        c.close()


def test_a_queue_has_an_end(make_relay, make_sink):
    """As many recipients wait as may: 452, delivery goes on and makes room, and a bounce is not refused."""
    closed = [True]
    sink = make_sink(lambda at, a, s: '421 4.3.2 not yet' if closed[0] and at == 'connect' else '550 5.1.1 no' if at == 'rcpt' and 'bad' in a else None)
    relay = make_relay('queue {\n\tretry 1s\n\trecipients_max 20\n}\n' + ROUTE % sink.port, base=LISTEN)
    c = relay.client()
    c.hello()
    for i in range(6):
        assert c.mail(b'Subject: %d\r\n\r\nx\r\n' % i, to=['bad@dest.example', 'b@dest.example', 'c@dest.example'])[0] == 250
    assert c.mail(b'x\r\n', to=['b%d@dest.example' % i for i in range(3)])[0] == 452
    assert c.mail(b'x\r\n', to=['b%d@dest.example' % i for i in range(2)])[0] == 250
    assert c.cmd('MAIL FROM:<a@client.example>') == (452, '4.3.1 Too much mail waits here, try again later')
    closed[0] = False
    wait_for(lambda: c.cmd('MAIL FROM:<a@client.example>')[0] == 250, every=0.3)
    assert c.cmd('RSET')[0] == 250
    wait_for(lambda: len([m for m in sink.messages if '<>' in m.mail]) == 6)
    assert c.mail(b'x\r\n')[0] == 250
    c.close()


class Narrow(Relay):
    """With few descriptors, which it cannot raise."""
    LIMIT = 256

    def start(self, wait=True, args=()):
        with open(self.log, 'ab') as out:
            self.p = subprocess.Popen(['prlimit', '--nofile=%d:%d' % (self.LIMIT, self.LIMIT), BINARY, 'run', '-c', self.conf],
                                      stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder, start_new_session=True)
        wait_for(self.greets, 15)


def descriptors_of(pid):
    return sorted(int(x) for x in os.listdir('/proc/%d/fd' % pid))


def test_descriptors_have_a_reserve(make_sink):
    """Clients that hold every descriptor they can get leave enough for delivery, the spool and the control socket."""
    closed = [True]
    sink = make_sink(lambda at, a, s: '421 4.3.2 not yet' if closed[0] and at == 'connect' else None)
    relay = Narrow('queue {\n\tretry 1s\n}\n' + ROUTE % sink.port, base=LISTEN)
    crowd = None
    try:
        serve(relay, 3)
        relay.wait_event('destination-rests')
        crowd = Crowd(relay.port, 2 * Narrow.LIMIT)
        wait_for(lambda: crowd.read(0.1) or len(descriptors_of(relay.worker())) >= Narrow.LIMIT * 7 // 8 - 4)
        for _ in range(20):
            time.sleep(0.05)
            crowd.read(0)
            assert len(descriptors_of(relay.worker())) <= Narrow.LIMIT - Narrow.LIMIT // 8 + 12
        assert relay.command('queue', 'count').returncode == 0
        closed[0] = False
        wait_for(lambda: len(sink.messages) == 3, 15)
        assert 'Too many open files' not in relay.text()
        crowd.close()
        wait_for(lambda: len(descriptors_of(relay.worker())) < Narrow.LIMIT // 2)
        serve(relay, 3)
    finally:
        if crowd:
            crowd.close()
        relay.close()


# ---- bombs

def drain(c, out):
    """Reads replies away until the connection ends; the last one stays in out."""
    with contextlib.suppress(OSError):
        while True:
            code, text = c.reply()
            if not code:
                return
            out.append(code)


BEGIN = b'MAIL FROM:<a@client.example>\r\nRCPT TO:<b@dest.example>\r\n'
END = [b'\r\n.\r\n', b'QUIT\r\n']
MIB = b'x' * 1048576
NESTED = b''.join(b'Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n' % (i, i) for i in range(20000))
COMMENTS = b'From: ' + b'(' * 200000 + b' x@client.example\r\n'


def by_data(*pieces):
    """DATA waits for its 354: the content is a group of its own."""
    return [BEGIN, b'DATA\r\n', None, *pieces, *END]


BOMBS = {
    'a command line of 100 MB': ([b'NOOP '] + [MIB] * 100 + [b'\r\nQUIT\r\n'], {500, 421}),
    'a line without a verb or an end': ([MIB] * 20, {500, 421}),
    'a header line of 100 MB': (by_data(b'Subject: ', *[MIB] * 100), {552, 421}),
    'a header line of 15 MB': (by_data(b'Subject: ', *[MIB] * 15), {250, 554}),
    'a million header lines': (by_data(*[b'X-Bomb: y\r\n' * 10000] * 100), {250, 552, 554}),
    'a million continuations': (by_data(b'X-Bomb: y\r\n', *[b' y\r\n' * 10000] * 100), {250, 554}),
    '10,000 Received': (by_data(b'Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n' * 10000), {554}),
    'a body of dots': (by_data(b'\r\n', *[b'..\r\n' * 100000] * 10), {250}),
    'nested parts': (by_data(NESTED), {250}),
    'nested comments': (by_data(COMMENTS), {250}),
    'a chunk of 2 GB announced': ([BEGIN, b'BDAT 2000000000 LAST\r\n'] + [MIB] * 60, {552, 421}),
    'a million chunks': ([BEGIN] + [b'BDAT 1\r\nx' * 10000] * 20 + [b'BDAT 0 LAST\r\nQUIT\r\n'], {250}),
    '200,000 recipients': ([BEGIN] + [b''.join(b'RCPT TO:<r%d@dest.example>\r\n' % i for i in range(k, k + 10000)) for k in range(0, 200000, 10000)], {452}),
    'one recipient 200,000 times': ([BEGIN] + [b'RCPT TO:<b@dest.example> ORCPT=rfc822;' + b'x' * 480 + b'\r\n'] * 200000 + [b'QUIT\r\n'], {250}),
    '200,000 refused recipients': ([BEGIN] + [b'RCPT TO:<r@>\r\n' * 10000] * 20, {421}),
    'a million commands': ([b'NOOP\r\n' * 10000] * 100, {421}),
    'a million resets': ([BEGIN] + [b'RSET\r\n' * 10000] * 100, {421}),
    '100,000 transactions': ([b'MAIL FROM:<a@client.example>\r\nRCPT TO:<b@dest.example>\r\nRSET\r\n' * 1000] * 100, {421}),
    '200,000 greetings': ([b'EHLO x\r\n' * 10000] * 20, {421}),
    'a million empty lines': ([b'\r\n' * 10000] * 100, {421, 500}),
}


def explode(relay, pieces):
    """Sends all of it behind EHLO, while replies are read; returns their codes. None: waits for the 354 first."""
    c, codes = relay.client(timeout=60), []
    c.hello()
    at = pieces.index(None) if None in pieces else 0
    for p in pieces[:at]:
        c.send(p)
    while at and c.reply()[0] not in (354, 0):
        pass
    reader = threading.Thread(target=drain, args=(c, codes))
    reader.start()
    with contextlib.suppress(OSError):
        for p in pieces[at + (None in pieces):]:
            c.send(p)
        c.s.shutdown(socket.SHUT_WR)
    reader.join(60)
    c.close()
    return codes


@pytest.mark.parametrize('name', BOMBS)
def test_bombs(make_relay, make_sink, name):
    """
    Each ends in the reply that it should, never in silence; meanwhile others are served and the worker takes little memory; once more, and
    memory is where it was. The sink refuses what does arrive: notices are made of it.
    """
    pieces, wanted = BOMBS[name]
    sink = make_sink(lambda at, a, s: '550 5.1.1 no' if at == 'rcpt' and 'b@dest' in a and s['n'] % 2 else None)
    relay = make_relay('message {\n\tsize_max 20M\n}\n' + ROUTE % sink.port, base=LISTEN)
    serve(relay)
    peak(relay, again=True)
    before, after = peak(relay), []
    for _ in range(2):
        results = []
        bomb = threading.Thread(target=lambda: results.append(explode(relay, pieces)))
        bomb.start()
        try:
            serve(relay, 5)
        finally:
            bomb.join(120)
        assert results and results[0] and wanted & set(results[0]), (results and results[0][-5:])
        assert peak(relay) - before < PEAK_MIB, (before, peak(relay))
        after.append(settled(relay, 2))
    assert after[1] - after[0] < GROWTH_MIB, after
    assert not relay.events('crashed')
    serve(relay, 2)


def test_a_reply_that_does_not_end(make_relay, make_sink):
    """The next hop as the one who floods: replies without end, in lines and in one line, and greetings in pieces."""
    acts = {'ehlo': b'250-x\r\n' * 2_000_000, 'mail': b'250-' + b'x' * 20_000_000, 'connect': b'220-x\r\n' * 1_000_000}
    for stage, octets in acts.items():
        sink = make_sink(lambda at, a, s, stage=stage, octets=octets: octets if at == stage else None)
        relay = make_relay('queue {\n\tretry 1s\n}\n' + ROUTE % sink.port, base=LISTEN)
        before = pss(relay)
        serve(relay, 3)
        relay.wait_event('destination-rests' if stage != 'mail' else 'deferred', 1, 30)
        assert pss(relay) - before < 2 * GROWTH_MIB, stage
        assert not relay.events('crashed')


# ---- handshakes

TLS = '''tls {
	certificate %s
	key %s
}
'''


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


def hello_only(s):
    """A ClientHello, and away once the answer comes: the server has computed by then."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = CONTEXT.wrap_bio(incoming, outgoing, server_hostname='relay.test.example')
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    s.send(outgoing.read())
    with contextlib.suppress(OSError):
        s.recv(100)


def garbage(s):
    s.send(os.urandom(600))
    with contextlib.suppress(OSError):
        s.recv(100)


def handshake(s):
    with contextlib.suppress(OSError):
        CONTEXT.wrap_socket(s, server_hostname='relay.test.example').close()


@pytest.mark.parametrize('each', [handshake, hello_only, garbage], ids=['whole', 'cut', 'garbage'])
def test_handshake_flood(make_relay, make_sink, tmp_path, each):
    """
    Handshakes cost a server more than a client: whole ones, cut ones, garbage, as fast as they come. Others are served, and no
    memory stays.
    """
    identity = certs.Authority(tmp_path).issue('relay.test.example', names=['relay.test.example'])
    os.chmod(tmp_path, 0o755)
    port = free_port()
    relay = make_relay('listen 127.0.0.1:%d {\n\ttls implicit\n\tconnections_max 5000\n}\n' % port + TLS % (identity.certificate, identity.key)
                       + ROUTE % make_sink().port, base=LISTEN)
    after = []
    for _ in range(2):
        counts = []
        threads = [threading.Thread(target=flood, args=(port, 4, each, counts)) for _ in range(4)]
        for t in threads:
            t.start()
        try:
            serve(relay, 10)
        finally:
            for t in threads:
                t.join()
        assert sum(counts) > 100, counts
        after.append(settled(relay, 3))
    assert after[1] - after[0] < GROWTH_MIB, after
    assert not relay.events('crashed')


def test_handshakes_of_one_client(make_relay, make_sink, tmp_path):
    """Beyond the limit it is turned away before anything is computed, and not told to go on without; others have theirs."""
    identity = certs.Authority(tmp_path).issue('relay.test.example', names=['relay.test.example'])
    os.chmod(tmp_path, 0o755)
    relay = behind_a_proxy(make_relay, make_sink(), 'tls offered',
                           TLS % (identity.certificate, identity.key) + 'limit 3/min handshakes per client\n')

    def starttls(ip):
        c = come_from(relay, ip)
        c.hello()
        code, _ = c.cmd('STARTTLS')
        if code == 220:
            CONTEXT.wrap_socket(c.s, server_hostname='relay.test.example').close()
        else:
            assert c.reply()[0] == 0
        return code

    assert [starttls('192.0.2.7') for _ in range(5)] == [220, 220, 220, 421, 421]
    assert starttls('192.0.2.8') == 220
    assert len(relay.wait_event('tls', 4)) == 4 and not relay.events('tls-failed')
