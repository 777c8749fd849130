"""The sandbox of a running relay, looked at from outside: what each process may still do, and what a reload can reach."""
import ctypes, os, pathlib, re, shutil, signal, socket, struct, subprocess, sys, tempfile, time

import pytest

from certs import Authority
from relevo import BINARY, ROUTE, free_port, wait_for

STRANGER = 65534
NOTHING = '0000000000000000'
SUPERVISOR = 0b010111100100     # SETPCAP, SETGID, SETUID, KILL, NET_BIND_SERVICE, DAC_READ_SEARCH


def status(pid):
    with open('/proc/%d/status' % pid) as f:
        return dict(re.findall(r'(?m)^(\w+):\s*(.*)$', f.read()))


def whole(relay):
    text = relay.wait_event('sandbox')[0]['text']
    if 'system calls filtered' not in text:
        pytest.skip(text)
    return text


def test_capabilities(make_relay, make_sink):
    relay = make_relay(ROUTE % make_sink().port)
    worker, supervisor = status(relay.worker()), status(relay.p.pid)
    for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
        assert worker[name] == NOTHING, name
    assert worker['NoNewPrivs'] == supervisor['NoNewPrivs'] == '1'
    if os.geteuid() == 0:
        assert int(supervisor['CapEff'], 16) | SUPERVISOR == SUPERVISOR
        assert int(supervisor['CapBnd'], 16) | SUPERVISOR == SUPERVISOR


def test_calls_and_files(make_relay, make_sink):
    relay = make_relay(ROUTE % make_sink().port)
    text = whole(relay)
    assert status(relay.worker())['Seccomp'] == '2'
    assert 'files by Landlock' in text or 'no Landlock' in text
    # Every thread of it, not only the first.
    for task in os.listdir('/proc/%d/task' % relay.worker()):
        with open('/proc/%d/task/%s/status' % (relay.worker(), task)) as f:
            found = f.read()
        assert re.search(r'(?m)^Seccomp:\s*2$', found) and re.search(r'(?m)^CapEff:\s*0+$', found), task


def test_limits(make_relay, make_sink):
    relay = make_relay(ROUTE % make_sink().port)
    whole(relay)
    with open('/proc/%d/limits' % relay.worker()) as f:
        limits = f.read()
    assert re.search(r'(?m)^Max core file size +0 +0 ', limits)
    assert not re.search(r'(?m)^Max data size +unlimited', limits)


@pytest.mark.skipif(os.geteuid() != 0, reason='becomes another user')
def test_user(make_relay, make_sink, tmp_path):
    """The worker's user can neither trace it nor the supervisor, nor look into them."""
    relay = make_relay('user nobody\n' + ROUTE % make_sink().port)
    whole(relay)
    worker = relay.worker()
    assert status(worker)['Uid'].split() == [str(STRANGER)] * 4
    script = '''
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for pid in map(int, sys.argv[1:]):
    for name in ('mem', 'maps', 'environ', 'fd/0'):
        try:
            os.close(os.open('/proc/%d/%s' % (pid, name), os.O_RDONLY))
            sys.exit('%d %s can be read' % (pid, name))
        except PermissionError:
            pass
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    if libc.ptrace(0x4206, pid, 0, 0) == 0 or ctypes.get_errno() != errno.EPERM:
        sys.exit('%d can be traced' % pid)
try:
    os.kill(int(sys.argv[2]), 0)
    sys.exit('the supervisor can be signalled')
except PermissionError:
    pass
'''
    r = subprocess.run([sys.executable, '-c', script, str(worker), str(relay.p.pid)], user=STRANGER, group=STRANGER,
                       extra_groups=[], capture_output=True, text=True, timeout=30, cwd='/')
    assert r.returncode == 0, r.stderr


def test_no_sandbox_is_loud(make_relay, make_sink):
    relay = make_relay(ROUTE % make_sink().port, start=False)
    relay.start(args=('--no-sandbox',))
    assert 'WARNING: --no-sandbox' in relay.text()
    assert relay.wait_event('sandbox')[0]['text'] == 'none (--no-sandbox)'
    assert status(relay.worker())['Seccomp'] == '0'
    assert '--no-sandbox' not in subprocess.run([BINARY, 'help', 'run'], capture_output=True, text=True).stdout


def test_reload_of_files_elsewhere(make_relay, make_sink, tmp_path):
    """What the configuration named at the start can be read anew, also when it is another file of that name."""
    sink = make_sink()
    relay = make_relay('', start=False)
    near, far = os.path.join(relay.folder, 'near.conf'), tmp_path / 'far.conf'
    for path in (near, far):
        with open(path, 'w') as f:
            f.write(ROUTE % sink.port)
    relay.configure('include %s\n' % near)
    relay.start()
    whole(relay)
    if 'no Landlock' in relay.text():
        pytest.skip('no Landlock')
    with open(near + '.new', 'w') as f:
        f.write(ROUTE % sink.port + '# changed\n')
    os.rename(near + '.new', near)
    relay.command('reload')
    relay.configure('include %s\n' % far)
    r = relay.command('reload', check=False)
    assert r.returncode == 1 and 'restart the relay' in r.stdout + r.stderr
    assert relay.greets()
    # A crash starts a worker by the last sound configuration; a restart opens the new folder.
    assert relay.stop() == 0
    relay.start()
    relay.command('reload')


def link_of(pid):
    """A copy of the worker's end of its link to the supervisor."""
    libc, pidfd = ctypes.CDLL(None, use_errno=True), os.pidfd_open(pid)
    for fd in os.listdir('/proc/%d/fd' % pid):
        copy = libc.syscall(438, pidfd, int(fd), 0)     # pidfd_getfd
        if copy < 0:
            continue
        try:
            s = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            continue
        if s.family == socket.AF_UNIX and s.type == socket.SOCK_SEQPACKET:
            os.close(pidfd)
            return s
        s.close()
    os.close(pidfd)
    pytest.skip('descriptors of the worker cannot be copied here')


def is_listening(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) == 0


def test_a_worker_cannot_have_any_address_bound(make_relay, make_sink):
    """The supervisor binds what the configuration's file names, and nothing else that the worker asks for."""
    if os.geteuid() != 0:
        pytest.skip('root looks into other processes')
    relay = make_relay(ROUTE % make_sink().port)
    port, named = free_port(), free_port()
    path = os.path.join(relay.folder, 'unix')

    def ask(port, path=b''):
        family = 0 if path else 4
        link.send(struct.pack('<IiIB16sxH304s', 6, 0, 0, family, b'\x7f\0\0\1' if family else b'', port, path))

    link = link_of(relay.worker())
    ask(port)
    ask(0, path.encode())
    with open(relay.conf, 'a') as f:
        f.write('\nlisten 127.0.0.1:%d\n' % named)
    ask(named)          # that one is in the file as it was not when the first question came
    link.send(struct.pack('<I332x', 2))     # a reload begins: the file is read again
    ask(named)
    wait_for(lambda: is_listening(named), 15)
    assert not is_listening(port) and not os.path.exists(path)
    relay.command('reload')
    assert relay.greets()
    link.close()


def test_a_forbidden_call_is_reported(make_relay, make_sink):
    """SIGSYS from outside looks the same to the supervisor as one from the filter."""
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    first = relay.worker()
    os.kill(first, signal.SIGSYS)
    wait_for(lambda: relay.worker() not in (None, first), 15)
    wait_for(relay.greets, 15)
    assert 'ended by its sandbox (SIGSYS)' in relay.text()
    assert 'Bad system call' in relay.wait_event('crashed')[0]['signal']


class Notified:
    """The socket that systemd would read."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'notify')
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(self.path)
        self.s.settimeout(0.2)
        self.words = []

    def read(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.words += [(time.monotonic(), self.s.recv(1000).decode())]
            except socket.timeout:
                pass
        return [w for t, w in self.words]


def test_watchdog(make_relay, make_sink, tmp_path):
    n = Notified(str(tmp_path))
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port, env={'NOTIFY_SOCKET': n.path, 'WATCHDOG_USEC': '1000000'})
    words = n.read(3)
    assert any(w.startswith('READY=1') for w in words)
    assert words.count('WATCHDOG=1') >= 4
    relay.stop()
    assert 'STOPPING=1' in n.read(0.5)


def test_a_hanging_worker_is_restarted(make_relay, make_sink, tmp_path):
    """Stopped by a signal it says nothing any more: late, aborted, killed; meanwhile systemd is not told that all is well."""
    n = Notified(str(tmp_path))
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port, env={'NOTIFY_SOCKET': n.path, 'WATCHDOG_USEC': '2000000'})
    wait_for(lambda: any(w.startswith('READY=1') for w in n.read(0.2)))     # until then nobody waits for its word
    first = relay.worker()
    os.kill(first, signal.SIGSTOP)
    start = time.monotonic()
    wait_for(lambda: n.read(0.2) and relay.worker() not in (None, first), 60)
    assert time.monotonic() - start > 25
    wait_for(relay.greets, 15)
    assert 'the worker hangs' in relay.text()
    times = [t for t, w in n.words if w == 'WATCHDOG=1']
    assert max(b - a for a, b in zip(times, times[1:])) > 5
    assert relay.wait_event('crashed')



@pytest.fixture
def open_path():
    """A folder that every account can reach, as pytest's cannot be."""
    with tempfile.TemporaryDirectory(prefix='relevo-keys-') as folder:
        yield pathlib.Path(folder)


@pytest.mark.parametrize('where, user, key_is_open', [
    ('keys', '', False),            # a folder of its own: Landlock keeps the worker out
    ('certificates', '', True),     # beside the certificate, and the worker's account may read it: told
    ('certificates/below', '', True),
    ('around', '', False),          # the folder of secrets is opened, what is around it is not
    ('certificates', 'nobody', False),      # root's own: the kernel's oldest check refuses
])
def test_who_can_read_keys(make_relay, make_sink, tmp_path, open_path, where, user, key_is_open):
    """The worker tries its keys itself, once it is locked in; so this is what holds, not what was meant."""
    open_path.chmod(0o755)
    for folder in ('keys', 'certificates', 'certificates/below', 'around', 'around/secrets'):
        (open_path / folder).mkdir()
        (open_path / folder).chmod(0o755)
    server = Authority(tmp_path / 'ca').issue('relay.test.example')
    certificate, key = open_path / 'certificates' / 'x.pem', open_path / where / 'x.key'
    shutil.copy(server.certificate, certificate)
    certificate.chmod(0o644)
    shutil.copy(server.key, key)
    key.chmod(0o600)
    words = 'user %s\n' % user if user else ''
    relay = make_relay(words + 'secrets %s\ntls { certificate %s; key %s }\nlisten 127.0.0.1:%d { tls offered }\n' % (
        open_path / 'around' / 'secrets', certificate, key, free_port()) + ROUTE % make_sink().port)
    if 'files by Landlock' not in whole(relay):
        pytest.skip('no Landlock')

    def told():
        return len([w for w in relay.events('warning') if 'the worker can read this private key' in w.get('text', '')])
    assert told() == key_is_open
    relay.command('reload')
    wait_for(lambda: told() >= 2 * key_is_open)
    assert told() == 2 * key_is_open
