"""kill -9 of the whole relay at random instants, under load, again and again; then the ledgers must balance.

Loads of several kinds run all the time, from before the first death to behind the last; they connect anew by themselves. The
sink takes most mail and answers 4xx or 5xx to the rest; at times it is away. What is refused for good goes back to
the senders as notices, which a second sink reads. Some deaths hit a relay that has just been started: recovery must
survive one, too. The state folder lives through all of it.
"""
import glob, os, random, shutil, signal, socket, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import relevo
from balance import Balance

SLOTS = 20                      # connections of the route: as many transactions may be in flight
CONF = '''queue {
	retry 1s
	notices_max 1000000
}
route next {
	host 127.0.0.1:%%d
	connections %d
}
route back {
	host 127.0.0.1:%%d
}
accept from local to domain load.example via back
accept from local to any via next
''' % SLOTS
REPLIES = ('rcpt=450 4.2.0 busy%4', 'rcpt=550 5.1.1 nobody%2', 'end=451 4.3.0 later%2', 'end=554 5.6.0 no%1')
# Small and many; with content files; many recipients; connections of a few messages, pipelined.
LOADS = (('--size', '3K', '--connections', '12', '--rate', '2000/s'),
         ('--size', '300K', '--connections', '4', '--rate', '25/s', '--recipients', '2'),
         ('--size', '1K', '--connections', '5', '--rate', '150/s', '--recipients', '6'),
         ('--size', '40K', '--connections', '5', '--rate', '150/s', '--per-connection', '4', '--pipelining'))


class Kill9:
    def __init__(self, rounds, seed, sabotage=False, say=lambda text: None):
        """sabotage: the negative control. What the log holds at the last death is removed."""
        self.rounds, self.say, self.random, self.sabotage = rounds, say, random.Random(seed), sabotage
        self.kills = self.sinks = self.notices = 0
        self.folder = tempfile.mkdtemp(prefix='relevo-crash-')
        self.port, self.sink, self.loads = relevo.free_port(), None, []
        self.back = relevo.Sink()
        self.relay = relevo.Relay(CONF % (self.port, self.back.port), start=False)

    def path(self, name):
        return os.path.join(self.folder, name)

    def spawn(self, *words):
        with open(self.path('tools.log'), 'ab') as out:
            return subprocess.Popen([relevo.BINARY, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def sink_start(self):
        words = ['sink', '127.0.0.1:%d' % self.port, '--quiet', '--delay', 'end=4ms', '--ledger', self.path('sink.%d' % self.sinks)]
        for reply in REPLIES:
            words += ['--reply', reply]
        self.sink = self.spawn(*words)
        self.sinks += 1

    @staticmethod
    def end(p, sig):
        """An orderly end: the ledger is complete then."""
        p.send_signal(sig)
        p.wait(60 * relevo.PATIENCE)

    def load_start(self):
        for i, words in enumerate(LOADS):
            self.loads.append(self.spawn('load', '--quiet', '--time', '24h', '--server', '127.0.0.1:%d' % self.relay.port,
                                         '--ledger', self.path('load.%d' % i), *words))

    def kill(self):
        """Until the last process of the group is gone: the dying worker may still sit in a system call, holding the port."""
        self.relay.kill()
        self.kills += 1
        relevo.wait_for(self.port_is_free, 30, 0.005)

    def port_is_free(self):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(('127.0.0.1', self.relay.port))
                s.listen()
                return True
            except OSError:
                return False

    def round(self, n):
        away = n % 5 == 3
        if away:
            self.end(self.sink, signal.SIGTERM)
        time.sleep(self.random.uniform(0.05, 0.9))
        self.kill()
        while self.random.random() < 0.3:                # while it starts
            self.relay.start(wait=False)
            time.sleep(self.random.uniform(0.002, 0.15))
            self.kill()
        if self.sabotage and n == self.rounds - 1:
            for path in glob.glob(os.path.join(self.relay.state, '**', '*.log'), recursive=True):
                os.unlink(path)
        self.relay.start()
        if away:
            self.sink_start()

    def drain(self, seconds):
        end = time.monotonic() + seconds * relevo.PATIENCE
        while time.monotonic() < end:
            p = self.relay.command('queue', 'list', '--json', check=False)
            if p.returncode == 0 and p.stdout.strip() in ('', '[]'):
                return True
            time.sleep(0.3)
        return False

    def balance(self):
        b = Balance()
        b.promise([self.path('load.%d' % i) for i in range(len(LOADS))])
        b.arrive([self.path('sink.%d' % i) for i in range(self.sinks)])
        for m in self.back.messages:
            self.notices += b.notice(m.content)
        return b

    def run(self):
        """The result as a dict; 'lost' is a list of (id, recipient)."""
        self.sink_start()
        self.relay.start()
        self.load_start()
        for n in range(self.rounds):
            self.round(n)
            if n % 10 == 9:
                self.say('kill -9: round %d' % (n + 1))
        for p in self.loads:
            self.end(p, signal.SIGINT)
        drained = self.drain(60 + self.rounds / 2)
        self.relay.stop()
        self.end(self.sink, signal.SIGTERM)
        b = self.balance()
        lost = b.lost()
        return {'rounds': self.rounds, 'kills': self.kills, 'acknowledged': len(b.promised),
                'units': sum(len(p[0]) for p in b.promised.values()), 'taken': b.transactions, 'lost': lost,
                'different': b.different, 'duplicates': b.again, 'allowed': SLOTS * (self.kills + self.sinks),
                'bounced': b.only_failed(), 'notices': self.notices, 'strangers': b.strangers, 'drained': drained,
                'damage': len(self.relay.events('spool-damage'))}

    def close(self):
        for p in self.loads + [self.sink]:
            if p and p.poll() is None:
                p.kill()
                p.wait()
        self.back.close()
        self.relay.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def faults(r):
    """What is wrong with a result: sentences."""
    found = []
    if r['lost']:
        found.append('%d units lost, as %s to %s' % (len(r['lost']), *r['lost'][0]))
    if r['different']:
        found.append('%d came different' % r['different'])
    if r['duplicates'] > r['allowed']:
        found.append('%d transactions came again, %d may' % (r['duplicates'], r['allowed']))
    if not r['drained']:
        found.append('the queue did not become empty')
    if r['damage']:
        found.append('the spool reported damage %d times' % r['damage'])
    if not r['bounced'] or not r['notices']:
        found.append('no message was bounced: the sink did not do its part')
    if r['acknowledged'] < 20 * r['rounds']:
        found.append('only %d messages were acknowledged' % r['acknowledged'])
    return found
