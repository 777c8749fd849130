"""Full disks, failing disks, and a process short of descriptors or memory: refuse, go on, recover, lose nothing."""
import os, re, resource, socket, sys, tempfile, threading, time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'crash'))
import disks
from relevo import PATIENCE, ROUTE, Client, Sink, free_port, wait_for
from whereabouts import whereabouts

MIB = 1 << 20
QUICK = 'queue { retry 1s }\n'


@pytest.fixture
def small_disk(make_relay):
    """Makes (relay, disk): a relay that is not yet started, with its state folder on a file system of that kind."""
    made = []

    def make(kind, text, size=64 * MIB, env=None, options='defaults'):
        relay = make_relay(text, start=False, env=env)
        os.mkdir(relay.state)
        try:
            if kind == 'tmpfs':
                disk = disks.Tmpfs(size, relay.state)
            else:
                disk = disks.Ext4(size, relay.state, os.path.join(relay.folder, 'image'), options)
        except disks.NotHere as e:
            pytest.skip(str(e))
        made.append((relay, disk))
        return relay, disk
    yield make
    for relay, disk in made:
        if relay.p and relay.p.poll() is None:
            relay.kill()
        wait_for(lambda: all_gone(relay), 10)
        disk.close()


def all_gone(relay):
    """
    Also the worker, which may still sit in a system call: it keeps disk and port busy. Its first thread may be a zombie
    while others live, so all of them are looked at.
    """
    return not relay.p or not [pid for pid in group(relay.p.pid) if lives(pid)]


def lives(pid):
    for tid in names('/proc/%d/task' % pid):
        try:
            with open('/proc/%d/task/%s/stat' % (pid, tid)) as f:
                if f.read().rsplit(')', 1)[1].split()[0] not in 'ZX':
                    return True
        except OSError:
            pass
    return False


def names(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def group(pgid):
    found = []
    for name in names('/proc'):
        try:
            if name.isdigit() and os.getpgid(int(name)) == pgid:
                found.append(int(name))
        except OSError:
            pass
    return found


def body(n, octets):
    return (b'Subject: n%d\r\n\r\n' % n) + (b'%072d\r\n' % n) * (octets // 74)


def numbers(sink):
    with sink.lock:
        return {int(re.search(rb'Subject: n(\d+)', m.content).group(1)): m.content for m in sink.messages}


STILL, LATEST = 60, 300


def all_there(relay, sink, acknowledged, octets):
    """
    All of {number: id} arrived, and as they were. A machine that has other things to do may be slow: it is over when nothing has
    come for STILL seconds. Then the relay has to say where they are.
    """
    came, since, began = -1, 0, time.monotonic()
    while not set(acknowledged) <= set(numbers(sink)):
        now, n = time.monotonic(), len(numbers(sink))
        if n > came:
            came, since = n, now
        if now > since + STILL * PATIENCE or now > began + LATEST * PATIENCE:
            missing = {n: i for n, i in acknowledged.items() if n not in numbers(sink)}
            raise AssertionError('%d of %d came, the last one %d s ago; the sink had %d sessions, %d open\n%s' % (
                len(acknowledged) - len(missing), len(acknowledged), now - since, sink.sessions, len(sink.open),
                whereabouts(relay, missing)))
        time.sleep(0.02)
    for n, content in numbers(sink).items():
        assert content.endswith(body(n, octets)), n


def send(port, n, octets):
    """One message on a connection of its own: (code, text) of what ended it."""
    try:
        c = Client(port)
    except OSError:
        return 0, ''
    try:
        c.hello()
        for line in ('MAIL FROM:<>', 'RCPT TO:<b@dest.example>'):
            code, text = c.cmd(line)
            if code != 250:
                return code, text
        return c.data(body(n, octets))
    except (OSError, ValueError, AssertionError):
        return 0, ''
    finally:
        c.close()


class Flood:
    """Senders that go on, whatever they are told; acknowledged: the numbers that got 250, with the ids that it told."""

    def __init__(self, port, octets, clients=4):
        self.port, self.octets, self.stopping, self.lock = port, octets, False, threading.Lock()
        self.acknowledged, self.answers, self.next = {}, [], 0
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stopping:
            with self.lock:
                self.next += 1
                n = self.next
            began = time.monotonic()
            answer = send(self.port, n, self.octets)
            if answer[0] == 250:
                self.acknowledged[n] = answer[1].split()[-1]
            else:
                time.sleep(0.02)
            self.answers.append((time.monotonic(),) + answer + (began,))

    def begun(self, since):
        """Answers to what began after that time: what began before may have been written by then, and only come late."""
        return [a for a in self.answers if a[3] > since]

    def refused(self, code, since=0):
        return [a for a in self.answers if a[1] == code and a[0] > since]

    def end(self):
        self.stopping = True
        for t in self.threads:
            t.join(30 * PATIENCE)


@pytest.fixture
def flood():
    made = []

    def make(*a, **kw):
        made.append(Flood(*a, **kw))
        return made[-1]
    yield make
    for f in made:
        f.end()


def cpu_s(pid):
    with open('/proc/%d/stat' % pid) as f:
        words = f.read().rsplit(')', 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf('SC_CLK_TCK')


def assert_no_spin(relay, seconds=2):
    """While it is left alone: a share of one processor that no loop without a wait would stay below."""
    before = cpu_s(relay.worker())
    time.sleep(seconds)
    assert cpu_s(relay.worker()) - before < 0.25 * seconds * PATIENCE, 'it spins'


def fill(path, leave=0):
    """Takes all room that is left, but so many octets; the file."""
    name = os.path.join(path, 'filler')
    with open(name, 'ab', buffering=0) as f:
        while True:
            v = os.statvfs(path)
            n = min(v.f_bfree * v.f_frsize - leave, MIB)
            try:
                if n <= 0 or not f.write(bytes(n)):
                    return name
            except OSError:
                return name


@pytest.mark.parametrize('kind', ['tmpfs', 'ext4'])
@pytest.mark.parametrize('octets', [8000, 400000])
def test_its_own_queue_fills_the_disk(small_disk, flood, kind, octets):
    """The hop is down until the disk is full; then everything goes out, and mail comes in again."""
    port = free_port()
    relay, disk = small_disk(kind, QUICK + ROUTE % port)
    relay.start()
    worker = relay.worker()
    f = flood(relay.port, octets)
    wait_for(lambda: f.refused(452), 40)
    f.end()
    assert all(a[2].startswith('4.3.1') for a in f.refused(452))
    assert not [a for a in f.answers if a[1] // 100 == 5], 'full is no permanent error'
    assert len(f.acknowledged) * octets > 20 * MIB, 'refused too early'
    assert_no_spin(relay, 1)
    sink = Sink(port=port)
    try:
        all_there(relay, sink, f.acknowledged, octets)
        wait_for(lambda: send(relay.port, 999999, octets)[0] == 250, 10)
    finally:
        sink.close()
    assert relay.worker() == worker and not relay.events('spool-damage')


@pytest.mark.parametrize('kind', ['tmpfs', 'ext4'])
def test_somebody_else_fills_the_disk(small_disk, flood, make_sink, kind):
    """Under load, to the last octet. Delivery goes on; five seconds after the room is back, so is mail."""
    sink = make_sink()
    relay, disk = small_disk(kind, QUICK + ROUTE % sink.port)
    relay.start()
    worker = relay.worker()
    f = flood(relay.port, 8000)
    wait_for(lambda: len(f.acknowledged) > 50, 20)
    filler = fill(relay.state)
    wait_for(lambda: f.refused(452), 20)
    all_there(relay, sink, dict(f.acknowledged), 8000)
    time.sleep(1)
    assert_no_spin(relay)
    os.unlink(filler)
    freed = time.monotonic()
    wait_for(lambda: send(relay.port, 999999, 8000)[0] == 250, 5)
    wait_for(lambda: [a for a in f.answers if a[1] == 250 and a[0] > freed], 5)
    f.end()
    all_there(relay, sink, f.acknowledged, 8000)
    assert relay.worker() == worker and not relay.events('spool-damage')


@pytest.mark.parametrize('kind', ['tmpfs', 'ext4'])
def test_a_start_on_a_full_disk(small_disk, flood, kind):
    """Killed when its own queue had filled the disk, and then the last octet taken: it starts, delivers, and takes mail again."""
    port = free_port()
    relay, disk = small_disk(kind, QUICK + ROUTE % port)
    relay.start()
    f = flood(relay.port, 8000)
    wait_for(lambda: f.refused(452), 40)
    f.end()
    relay.kill()
    wait_for(lambda: all_gone(relay), 10)
    filler = fill(relay.state)
    sink = Sink(port=port)
    try:
        for _ in range(3):                              # each start must leave enough for the next one
            relay.start()
            relay.kill()
            wait_for(lambda: all_gone(relay), 10)
        relay.start()
        all_there(relay, sink, f.acknowledged, 8000)
        os.unlink(filler)
        wait_for(lambda: send(relay.port, 999999, 8000)[0] == 250, 5)
    finally:
        sink.close()
    assert not relay.events('spool-damage')


@pytest.mark.parametrize('how', ['gone', 'read-only'])
def test_the_disk_fails(small_disk, flood, make_sink, how):
    """
    Under load the device goes away, or turns read-only; what was acknowledged is there when it comes back.

    With one exception that is not the relay's: at the very instant at which ext4 gives up (errors=remount-ro), Linux 6.18 was
    seen, by strace, to return 0 from an fdatasync whose octets were gone afterwards: the unwritten extents that it wrote to
    were not made written ones any more. So what is acknowledged during that instant is not judged in that case.
    """
    port = free_port()
    relay, disk = small_disk('ext4', QUICK + ROUTE % port, options='errors=remount-ro')
    relay.start()
    worker = relay.worker()
    f = flood(relay.port, 8000)
    wait_for(lambda: len(f.acknowledged) > 100, 20)
    judged = dict(f.acknowledged) if how == 'read-only' else f.acknowledged
    disk.shut_down() if how == 'gone' else disk.make_read_only()
    failed = time.monotonic()
    wait_for(lambda: [a for a in f.begun(failed + 0.5) if a[1] != 250], 10)
    time.sleep(0.5)
    late = f.begun(failed + 0.5)
    assert not [a for a in late if a[1] == 250], 'acknowledged on a disk that is gone'
    assert not [a for a in late if a[1] // 100 == 5], 'a failing disk is no permanent error'
    f.end()
    assert_no_spin(relay)
    assert relay.worker() == worker, 'it crashed'
    relay.kill()
    wait_for(lambda: all_gone(relay), 10)
    disk.unmount()
    disk.mount()
    sink = Sink(port=port)
    try:
        relay.start()
        all_there(relay, sink, judged, 8000)
    finally:
        sink.close()
    assert not relay.events('spool-damage')


@pytest.mark.parametrize('fault', ['sync', 'write', 'short'])
def test_calls_fail_for_a_while(make_relay, flood, fault):
    """D4 on the running relay: what fails is not acknowledged, the log goes on in a new segment, a restart finds all."""
    with tempfile.TemporaryDirectory(prefix='relevo-shim-') as folder:
        try:
            library = disks.shim(folder)
        except disks.NotHere as e:
            pytest.skip(str(e))
        switch, port = os.path.join(folder, 'switch'), free_port()
        relay = make_relay(QUICK + ROUTE % port, env=disks.shim_env(library, switch))
        worker = relay.worker()
        f = flood(relay.port, 8000)
        for round in range(3):
            n = len(f.acknowledged)
            wait_for(lambda: len(f.acknowledged) > n + 50, 20)
            with open(switch, 'w') as s:
                s.write(fault)
            failed = time.monotonic()
            time.sleep(1)
            wait_for(lambda: f.begun(failed), 20)
            assert not [a for a in f.begun(failed) if a[1] // 100 in (2, 5)]
            os.unlink(switch)
            wait_for(lambda: send(relay.port, 999999 + round, 8000)[0] == 250, 20)
        f.end()
        assert relay.worker() == worker and relay.events('spool-poisoned')
        assert not relay.events('relayed'), 'somebody else listens at that port'
        relay.kill()
        wait_for(lambda: all_gone(relay), 10)
        sink = Sink(port=port)
        try:
            relay.start()
            all_there(relay, sink, f.acknowledged, 8000)
        finally:
            sink.close()
        assert not relay.events('spool-damage')


def test_an_outcome_that_cannot_be_written(make_relay, make_sink):
    """What the next hop said is in the log at once, whatever the disk does: killed then, nobody has to guess."""
    with tempfile.TemporaryDirectory(prefix='relevo-shim-') as folder:
        try:
            library = disks.shim(folder)
        except disks.NotHere as e:
            pytest.skip(str(e))
        switch = os.path.join(folder, 'switch')

        def script(stage, *_):
            if stage == 'end':
                with open(switch, 'w') as s:
                    s.write('write')
        sink = make_sink(script)
        relay = make_relay(QUICK + ROUTE % sink.port, env=disks.shim_env(library, switch))
        code, text = send(relay.port, 1, 8000)
        assert code == 250
        for event in ('relayed', 'done'):       # 5 s later it is tried again
            assert relay.wait_event(event, seconds=4)[0]['id'] == text.split()[-1]
        relay.kill()
        wait_for(lambda: all_gone(relay), 10)
        os.unlink(switch)
        sink.script = lambda *_: None
        relay.start()
        wait_for(lambda: relay.command('queue', 'count').stdout.startswith('0 messages'), 20)
        assert len(sink.messages) <= 2


@pytest.fixture
def limits():
    """Sets the soft limit of a running process; gives it back at the end."""
    changed = []

    def limit(pid, kind, value):
        old = resource.prlimit(pid, kind)
        changed.append((pid, kind, old))
        resource.prlimit(pid, kind, (value, old[1]))
        return lambda: resource.prlimit(pid, kind, old)
    yield limit
    for pid, kind, old in changed:
        try:
            resource.prlimit(pid, kind, old)
        except OSError:
            pass


def test_no_more_descriptors(make_relay, make_sink, limits):
    """Connections wait, nobody spins, what has a connection is served; when some close, all is as before."""
    sink = make_sink()
    relay = make_relay(QUICK + ROUTE % sink.port)
    worker = relay.worker()
    clients = [relay.client() for _ in range(4)]
    for c in clients:
        c.hello()
    used = max(int(n) for n in os.listdir('/proc/%d/fd' % worker)) + 1
    lift = limits(worker, resource.RLIMIT_NOFILE, used)
    waiting = [socket.create_connection(('127.0.0.1', relay.port), 5) for _ in range(40)]
    for s in waiting:
        s.settimeout(0.05)
    time.sleep(0.3)
    assert_no_spin(relay)
    assert sum(1 for s in waiting if greeted(s)) < 40, 'the limit was not felt'
    assert clients[0].mail(body(1, 2000))[0] in (250, 451)
    for c in clients[1:]:
        c.close()
    wait_for(lambda: any(greeted(s) for s in waiting), 10)
    for s in waiting:
        s.close()
    clients[0].close()
    lift()
    wait_for(lambda: send(relay.port, 2, 2000)[0] == 250, 10)
    wait_for(lambda: 2 in numbers(sink), 20)
    assert relay.worker() == worker, 'it crashed'


def greeted(s):
    try:
        return s.recv(512, socket.MSG_PEEK).startswith(b'220')
    except OSError:
        return False


def test_no_more_address_space(make_relay, make_sink, limits, flood):
    """What cannot be served is refused or waits; if memory itself ends, the worker is started again; nothing is lost."""
    if PATIENCE > 1:
        pytest.skip('a sanitizer needs address space of its own')
    sink = make_sink()
    relay = make_relay(QUICK + ROUTE % sink.port)
    worker = relay.worker()
    f = flood(relay.port, 8000, clients=2)
    wait_for(lambda: len(f.acknowledged) > 20, 20)
    with open('/proc/%d/statm' % worker) as s:
        mapped = int(s.read().split()[0]) * os.sysconf('SC_PAGESIZE')
    lift = limits(worker, resource.RLIMIT_AS, mapped + 2 * MIB)
    crowd = []
    for _ in range(700):                                # a slab of stacks is 256
        try:
            crowd.append(socket.create_connection(('127.0.0.1', relay.port), 5))
        except OSError:
            break
    time.sleep(1)
    before, busy = relay.worker(), None
    if before:
        busy = cpu_s(before)
        time.sleep(1)
        busy = cpu_s(before) - busy if relay.worker() == before else None
    assert busy is None or busy < 0.9 * PATIENCE
    for s in crowd:
        s.close()
    try:
        lift()
    except OSError:
        pass                                            # that worker is gone
    wait_for(lambda: send(relay.port, 999999, 8000)[0] == 250, 30)
    f.end()
    all_there(relay, sink, f.acknowledged, 8000)
    assert relay.p.poll() is None
