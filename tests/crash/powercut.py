"""Power cuts: the disk of a relay under load is photographed at a random instant; a relay on the photograph must have it all.

Each image goes: relay starts on the disk; eight clients send, half of the recipients to a hop that takes mail, half to one that
is down; after a random time the disk is photographed; the relay is killed; the photograph becomes the disk. A relay is started on it, with
both hops up, and drains its queue. Every unit (message, recipient) that was acknowledged before the instant must have been taken by
then, unchanged. The next image goes on with that disk, so the spool grows old.

The negative control is the same with a relay whose fsync and fdatasync do nothing: it must lose.
"""
import hashlib, os, random, re, shutil, socket, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import disks, relevo

SIZE = 96 << 20
CLIENTS = 8
CONF = '''queue { retry 1s }
route now {
	host 127.0.0.1:%d
}
route later {
	host 127.0.0.1:%d
}
accept from local to domain later.example via later
accept from local to domain now.example via now
'''


def content(n):
    """Message n: the same octets whenever it is asked for."""
    r = random.Random(n)
    kind = r.random()
    lines = r.randint(1, 60) if kind < 0.7 else r.randint(100, 800) if kind < 0.92 else r.randint(4500, 8000)
    body = ''.join('%08x%08x %056d\r\n' % (n, i, r.getrandbits(60)) for i in range(lines))
    return ('X-Number: %d\r\nSubject: power\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <%d@x.example>\r\n\r\n'
            % (n, n) + body).encode()


def recipients(n):
    return [('now%d@now.example' % n, 'later%d@later.example' % n)[i] for i in ((0,), (1,), (0, 1))[n % 3]]


class Senders:
    """Clients that send until they are told to end, and note what was acknowledged."""

    def __init__(self, port, first):
        self.port, self.numbers, self.lock = port, iter(range(first, first + 10000000)), threading.Lock()
        self.acknowledged, self.stopping = [], False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CLIENTS)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stopping:
            try:
                self.session()
            except (OSError, ValueError, AssertionError):
                time.sleep(0.02)                        # killed, or no room for mail

    def session(self):
        c = relevo.Client(self.port)
        try:
            c.hello()
            while not self.stopping:
                with self.lock:
                    n = next(self.numbers)
                if c.mail(content(n), sender='', to=recipients(n))[0] == 250:
                    self.acknowledged.append(n)         # one operation: no lock
        finally:
            c.close()

    def end(self):
        self.stopping = True
        for t in self.threads:
            t.join(30)


class PowerCut:
    def __init__(self, images, seed, nosync=False, say=lambda text: None):
        self.images, self.random, self.say, self.nosync = images, random.Random(seed), say, nosync
        self.folder = tempfile.mkdtemp(prefix='relevo-cut-')
        self.next = 0
        self.result = {'images': 0, 'acknowledged': 0, 'units': 0, 'lost': [], 'different': 0, 'duplicates': 0,
                       'damage': 0, 'torn': 0, 'unstartable': 0}
        self.now = self.later = self.relay = self.disk = None
        try:
            library = disks.shim(self.folder) if nosync else None
            self.disk = disks.Powered(SIZE)
        except disks.NotHere:
            self.close()
            raise
        self.switch = os.path.join(self.folder, 'switch')
        self.now = relevo.Sink()
        self.later_port = relevo.free_port()
        self.relay = relevo.Relay('', start=False, env=disks.shim_env(library, self.switch) if nosync else None)
        self.relay.state = os.path.join(self.disk.at, 'state')
        self.relay.configure(CONF % (self.now.port, self.later_port))

    def lie(self, on):
        if self.nosync:
            with open(self.switch, 'w') as f:
                f.write('nosync' if on else '')

    @staticmethod
    def taken(messages, units, result):
        """Counts units taken; those that came different."""
        for m in messages:
            n = int(re.search(rb'^X-Number: (\d+)', m.content, re.M).group(1))
            at = m.content.find(b'X-Number: ')
            if hashlib.sha1(m.content[at:]).digest() != hashlib.sha1(content(n)).digest():
                result['different'] += 1
            for command in m.rcpt:
                unit = (n, re.search(r'<(.*?)>', command).group(1))
                units[unit] = units.get(unit, 0) + 1

    def drained(self):
        """The control socket comes a moment after the greeting."""
        p = self.relay.command('queue', 'list', '--json', check=False)
        assert self.relay.p.poll() is None, self.relay.text()[-2000:]
        return p.returncode == 0 and p.stdout.strip() in ('', '[]')

    def cut(self):
        """One image: (units that were promised, messages taken before the instant)."""
        self.relay.start()
        senders = Senders(self.relay.port, self.next)
        self.lie(True)
        time.sleep(0.4 if self.nosync else self.random.uniform(0.2, 1.2))    # a disk that gets full is written without a sync
        promised, before = list(senders.acknowledged), []
        image = self.disk.photograph(lambda: before.extend(self.now.messages))
        senders.stopping = True
        self.relay.kill()
        senders.end()
        self.lie(False)
        self.next = next(senders.numbers)
        time.sleep(0.05)                                # what the first sink still reads is not of the copy
        relevo.wait_for(self.can_power_on(image), 30)
        return promised, before

    def can_power_on(self, image):
        def ready():
            try:
                self.disk.power_on(image)
                return True
            except OSError as e:
                if 'busy' not in str(e):
                    raise
                return False                            # the killed worker is not yet gone
        return ready

    def recover(self):
        """A relay on the photograph, until its queue is empty: messages taken."""
        at = len(self.now.messages)
        self.later = relevo.Sink(port=self.later_port)
        try:
            self.relay.start()
            relevo.wait_for(self.drained, 5 if self.nosync else 60, 0.1)
            self.relay.stop()
        except AssertionError as e:
            if not self.nosync:
                raise
            self.result['unstartable'] += 1
            self.relay.close()
            self.say('the relay did not come up: %s' % str(e).splitlines()[0])
        finally:
            time.sleep(0.1)                             # a sink answers before it files
            self.later.listener.shutdown(socket.SHUT_RDWR)      # or a thread in accept() keeps it open
            self.later.close()
        return self.now.messages[at:] + self.later.messages

    def image(self):
        r, units = self.result, {}
        promised, before = self.cut()
        seen = len(self.relay.text())
        after = self.recover()
        self.taken(before + after, units, r)
        r['images'] += 1
        r['acknowledged'] += len(promised)
        wanted = [(n, to) for n in promised for to in recipients(n)]
        r['units'] += len(wanted)
        r['lost'] += [unit for unit in wanted if unit not in units]
        r['duplicates'] += sum(1 for unit in units if units[unit] > 1)
        log = self.relay.text()[seen:]
        r['damage'] += log.count(' spool-damage ')
        r['torn'] += sum(int(n) for n in re.findall(r'(\d+) torn', log))
        self.now.messages.clear()

    def run(self):
        self.relay.start()                              # the spool is made, and synced, by an honest relay
        self.relay.stop()
        for i in range(self.images):
            self.image()
            if i % 10 == 9:
                self.say('power cut: image %d' % (i + 1))
            if self.result['unstartable']:
                break
        return self.result

    def close(self):
        for part in (self.now, self.later, self.relay, self.disk):
            if part:
                part.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def faults(r):
    found = []
    if r['lost']:
        found.append('%d units lost, as %s to %s' % (len(r['lost']), *r['lost'][0]))
    if r['different']:
        found.append('%d came different' % r['different'])
    if r['damage']:
        found.append('the spool reported damage %d times' % r['damage'])
    if r['acknowledged'] < 10 * r['images']:
        found.append('only %d messages were acknowledged' % r['acknowledged'])
    return found
