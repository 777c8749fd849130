"""D1 by witness: strace watches the worker; no 250 for content may be sent before an fdatasync that covers it has returned 0.

The checker reads the trace as a row of points: a call that strace writes on one line begins and ends at that line; one that is
interrupted by others' begins at "<unfinished ...>" and ends at "resumed". For each message that a client saw acknowledged:

  C1  all of its content stands in a segment or a content file: each of its lines bears its name
  C2  each such write is followed by an fdatasync or fsync of that file, which began after the write ended, ended
      before the send of "250 ... Queued as ID" began, and returned 0; so is the record, which holds the sender's address
  C3  each of these files was made before: its folder was synced after that, and before the send - of a content file
      before the record that names it was written
"""
import os, re, shutil, subprocess, sys, tempfile, threading

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'crash'))
import disks
import relevo
from relevo import ROUTE, Client, Relay, free_port, wait_for

CALLS = 'openat,write,writev,pwrite64,pwritev,fdatasync,fsync,sendto,sendmsg'
SMALL, LARGE = 40, 6000         # lines of a message: in the log; in a file of its own


class Call:
    def __init__(self, name, text, begin):
        self.name, self.text, self.begin, self.end = name, text, begin, begin
        m = re.match(r'(?:AT_FDCWD|\d+)<([^>]*)>', text)
        self.path = m.group(1) if m else ''

    def finish(self, text, at):
        self.text += text
        self.end = at
        m = re.search(r'\) += (-?\d+)(?:<([^>]*)>)?', self.text[self.text.rfind(')  ' if ')  ' in self.text else ') ='):])
        self.result = int(m.group(1)) if m else None
        self.opened = m.group(2) if m else None
        return self


def parse(lines):
    """The calls of a trace, in the order of their ends."""
    calls, open_calls = [], {}
    for at, line in enumerate(lines):
        m = re.match(r'(\d+) +(.*)$', line, re.S)
        if not m:
            continue
        tid, text = m.groups()
        resumed = re.match(r'<\.\.\. (\w+) resumed>(.*)$', text, re.S)
        begun = re.match(r'(\w+)\((.*)$', text, re.S)
        if resumed:
            call = open_calls.pop(tid, None)
            if call and call.name == resumed.group(1):
                calls.append(call.finish(resumed.group(2), at))
        elif begun and begun.group(2).endswith('<unfinished ...>'):
            open_calls[tid] = Call(begun.group(1), begun.group(2)[:-len('<unfinished ...>')], at)
        elif begun:
            calls.append(Call(begun.group(1), begun.group(2), at).finish('', at))
    return calls


def synced(calls, path, after, before):
    return any(c.name in ('fdatasync', 'fsync') and c.path == path and c.result == 0 and c.begin > after and c.end < before
               for c in calls)


class Trace:
    def __init__(self, lines):
        self.calls = parse(lines)
        self.writes = [c for c in self.calls if c.name in ('pwritev', 'pwrite64') and '/spool/' in c.path]
        self.syncs = [c for c in self.calls if c.name in ('fdatasync', 'fsync')]
        self.made = {c.opened: c for c in self.calls if c.name == 'openat' and 'O_CREAT' in c.text and c.opened}
        self.sends = {}
        for c in self.calls:
            if c.name in ('write', 'writev', 'sendto', 'sendmsg'):
                for id in re.findall(r'250 2\.0\.0 Queued as ([0-9A-Z-]+)', c.text):
                    self.sends[id] = c
        self.lines, self.records = {}, {}               # of messages, by their names: line -> write; write of the record
        for c in self.writes:
            c.text = re.sub(r'", iov_len=\d+\}, \{iov_base="', '', c.text)      # a line may lie in two pieces
            for name, n in re.findall(r'(m\d+z)-(\d+)-', c.text):
                self.lines.setdefault(name, {}).setdefault(int(n), []).append(c)
            for name in re.findall(r'(m\d+z)@client', c.text):
                self.records.setdefault(name, c)

    def wrong(self, name, id, lines_n):
        """What is wrong with one acknowledged message: a sentence, or None."""
        send, record, lines = self.sends.get(id), self.records.get(name), self.lines.get(name, {})
        if not send:
            return 'its 250 is not in the trace'
        if not record:
            return 'its record is not in the trace'
        # One that lies in two writes bears its name in neither: its neighbours must.
        missing = [n for n in range(lines_n) if n not in lines and not (n - 1 in lines and n + 1 in lines)]
        if missing:
            return '%d of its lines were written nowhere, as %d' % (len(missing), missing[0])
        for w in {c for written in lines.values() for c in written[:1]} | {record}:
            if not synced(self.syncs, w.path, w.end, send.begin):
                return 'no sync of %s between the write at line %d and the 250 at %d' % (w.path, w.end + 1, send.begin + 1)
            made, folder = self.made.get(w.path), os.path.dirname(w.path)
            limit = record.begin if '/content/' in w.path else send.begin
            if made and not synced(self.syncs, folder, made.end, limit):
                return 'the name %s was not synced in time' % w.path
            if '/content/' in w.path and not synced(self.syncs, w.path, w.end, record.begin):
                return 'the content file was not synced before its record was written'
        return None


class Traced(Relay):
    """A relay under strace; its process is strace's child."""

    def start(self, wait=True, args=()):
        self.trace = os.path.join(self.folder, 'trace')
        env = dict(os.environ, **(self.env or {}))
        env['ASAN_OPTIONS'] = env.get('ASAN_OPTIONS', '') + ':detect_leaks=0'       # it cannot work when traced
        with open(self.log, 'ab') as out:
            self.p = subprocess.Popen(['strace', '-f', '-y', '-s', '600000', '-e', 'trace=' + CALLS, '-e', 'signal=none', '-o', self.trace,
                                       relevo.BINARY, 'run', '-c', self.conf] + ['--no-sandbox'] * bool(self.env), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                      cwd=self.folder, env=env, start_new_session=True)
        wait_for(self.greets, 30)

    def lines(self):
        """The trace, whole: all that it watched is ended first."""
        self.kill()
        with open(self.trace, errors='replace') as f:
            return f.read().split('\n')


@pytest.fixture
def traced():
    """Makes relays under strace, or skips."""
    made = []

    def make(text, env=None):
        if not shutil.which('strace'):
            pytest.skip('strace is missing')
        p = subprocess.run(['strace', '-o', '/dev/null', 'true'], capture_output=True)
        if p.returncode:
            pytest.skip('strace may not trace here')
        made.append(Traced(text, env=env))
        return made[-1]
    yield make
    for r in made:
        r.close()


def message(name, lines):
    return b'Subject: sync\r\n\r\n' + b''.join(b'%s-%d-%s\r\n' % (name.encode(), i, b'x' * 50) for i in range(lines))


def submit_all(port, clients=6, each=30):
    """Concurrent sessions; {name: (id, lines)} of what was acknowledged."""
    acknowledged, troubles = {}, []

    def run(k):
        try:
            c = Client(port)
            c.hello()
            for i in range(each):
                name = 'm%dz' % (k * 1000 + i)
                lines = LARGE if i % 6 == k % 6 else SMALL
                code, text = c.mail(message(name, lines), sender=name + '@client.example')
                assert code == 250, text
                acknowledged[name] = (re.search(r'Queued as ([0-9A-Z-]+)', text).group(1), lines)
            c.close()
        except Exception as e:
            troubles.append(e)
    threads = [threading.Thread(target=run, args=(k,)) for k in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    assert not troubles, troubles
    return acknowledged


def all_wrong(lines, acknowledged):
    trace = Trace(lines)
    found = {name: trace.wrong(name, id, n) for name, (id, n) in acknowledged.items()}
    return {name: why for name, why in found.items() if why}


def test_every_250_is_covered_by_a_sync(traced):
    relay = traced('queue { retry 1h }\n' + ROUTE % free_port())
    acknowledged = submit_all(relay.port)
    lines = relay.lines()
    assert len(acknowledged) == 180
    assert not all_wrong(lines, acknowledged)
    # The checker must see what it is for, in this very trace.
    for doctored in (no_syncs(lines), failed_syncs(lines), late_syncs(lines)):
        assert len(all_wrong(doctored, acknowledged)) == len(acknowledged)
    large = {name for name, (id, n) in acknowledged.items() if n == LARGE}
    assert len(large) > 10
    assert set(all_wrong(failed_syncs(lines, '/content/'), acknowledged)) == large
    assert set(all_wrong(failed_syncs(lines, '/content>'), acknowledged)) == large
    assert set(all_wrong(failed_syncs(lines, '.log>'), acknowledged)) == set(acknowledged)


def test_a_relay_that_does_not_sync_is_caught(traced):
    with tempfile.TemporaryDirectory(prefix='relevo-shim-') as folder:
        try:
            library = disks.shim(folder)
        except disks.NotHere as e:
            pytest.skip(str(e))
        switch = os.path.join(folder, 'switch')
        relay = traced('queue { retry 1h }\n' + ROUTE % free_port(), env=disks.shim_env(library, switch))
        with open(switch, 'w') as f:
            f.write('nosync')
        acknowledged = submit_all(relay.port, 2, 6)
        assert len(all_wrong(relay.lines(), acknowledged)) == len(acknowledged)


def is_sync(line):
    return re.search(r'\b(fdatasync|fsync)\b', line)


def no_syncs(lines):
    return [line for line in lines if not is_sync(line)]


def failed_syncs(lines, of=''):
    """Those of such files; where one was interrupted, its second half says so."""
    out, tids = [], set()
    for line in lines:
        tid = line.split(' ')[0]
        if is_sync(line) and ('resumed>' in line and tid in tids or 'resumed>' not in line and of in line):
            tids.add(tid)
            out.append(re.sub(r'= 0$', '= -1 EIO (Input/output error)', line))
            if 'unfinished' not in line:
                tids.discard(tid)
        else:
            out.append(line)
    return out


def late_syncs(lines):
    """All syncs behind all else."""
    return no_syncs(lines) + [line for line in lines if is_sync(line)]


W = '7 pwritev(5</s/spool/segments/1.log>, [{iov_base="m1z@client m1z-0-x m1z-1-x", iov_len=9}], 1, 4096) = 9'
F = '7 fdatasync(5</s/spool/segments/1.log>) = 0'
S = '8 sendto(9<socket:[1]>, "250 2.0.0 Queued as A-1-1\\r\\n", 30, 0, NULL, 0) = 30'


@pytest.mark.parametrize('lines, sound', [
    ([W, F, S], True),
    ([W, S, F], False),
    ([F, W, S], False),
    ([W, S], False),
    ([W, F.replace('= 0', '= -1 EIO (Input/output error)'), S], False),
    ([W, F.replace('1.log', '2.log'), S], False),
    ([W, F[:-5] + ' <unfinished ...>', S, '7 <... fdatasync resumed>) = 0'], False),
    ([W, F[:-5] + ' <unfinished ...>', '7 <... fdatasync resumed>) = 0', S], True),
    ([F[:-5] + ' <unfinished ...>', W.replace('7 ', '6 ', 1), '7 <... fdatasync resumed>) = 0', S], False),
    ([W.replace('m1z-1-x', ''), F, S], False),
    ([W.replace('m1z@client', ''), F, S], False),
    (['7 openat(3</s/spool/segments>, "1.log", O_RDWR|O_CREAT, 0600) = 5</s/spool/segments/1.log>', W, F, S], False),
    (['7 openat(3</s/spool/segments>, "1.log", O_RDWR|O_CREAT, 0600) = 5</s/spool/segments/1.log>',
      '7 fsync(3</s/spool/segments>) = 0', W, F, S], True),
])
def test_the_checker_itself(lines, sound):
    assert (all_wrong(lines, {'m1z': ('A-1-1', 2)}) == {}) == sound
