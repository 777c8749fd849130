"""The unit under a live systemd: start, mail, reload, its watchdog, crashes, stop; and what systemd-analyze says of it."""
import os, re, signal, subprocess, time

import pytest

import certs, systemd
from relevo import PATIENCE, ROOT, wait_for

CONF = '''version 1
hostname relay.test.example
user relevo
state /var/lib/relevo
tls {
	certificate relay.crt
	key relay.key
}
listen 127.0.0.1:25
route next {
	host 127.0.0.1:2526
}
accept from local to any via next
'''


class Service:
    def __init__(self, machine):
        self.machine = machine

    def ctl(self, *words):
        return self.machine.run('systemctl', *words, 'relevo.service')

    def shows(self, *names):
        lines = self.machine.run('systemctl', 'show', 'relevo.service', '--property=' + ','.join(names), check=True).stdout.splitlines()
        return [dict(line.split('=', 1) for line in lines)[n] for n in names]

    def pid(self):
        """As the machine around sees it."""
        inner = self.shows('MainPID')[0]
        for pid in self.all_pids():
            with open('/proc/%d/status' % pid) as f:
                if re.search(r'(?m)^NSpid:.*\t%s$' % inner, f.read()):
                    return pid
        return None

    def all_pids(self):
        text = self.machine.run('sh', '-c', 'cat /sys/fs/cgroup/system.slice/relevo.service/cgroup.procs').stdout
        inner, found = text.split(), []
        for p in os.listdir('/proc'):
            if p.isdigit():
                try:
                    if os.readlink('/proc/%s/ns/pid' % p) == os.readlink('/proc/%d/ns/pid' % self.machine.pid):
                        with open('/proc/%s/status' % p) as f:
                            if re.search(r'(?m)^NSpid:.*\t(\d+)$', f.read()).group(1) in inner:
                                found.append(int(p))
                except OSError:
                    continue
        return found

    def journal(self):
        return self.machine.run('journalctl', '--no-pager', '-o', 'short', '-u', 'relevo').stdout

    def mails(self):
        return self.machine.run('sh', '-c', 'ls /tmp/inbox/*.eml 2>/dev/null | wc -l').stdout.strip()

    def mail(self):
        before = int(self.mails())
        r = self.machine.run('relevo', 'send', '--server', '127.0.0.1:25', '--from', 'a@client.example', '--to', 'b@dest.example',
                             input='Subject: x\n\nx\n')
        assert r.returncode == 0, r.stderr + r.stdout
        wait_for(lambda: int(self.mails()) == before + 1, 20)


@pytest.fixture(scope='module')
def machine():
    m = systemd.Machine()
    yield m
    m.close()


@pytest.fixture(scope='module')
def installed(machine, tmp_path_factory):
    identity = certs.Authority(tmp_path_factory.mktemp('ca')).issue('relay.test.example')
    machine.run('systemd-sysusers', check=True)
    machine.run('systemd-tmpfiles', '--create', 'relevo.conf', check=True)
    machine.write('/etc/relevo/relevo.conf', CONF)
    machine.write('/etc/relevo/relay.crt', identity.read())
    with open(identity.key) as f:
        machine.write('/etc/relevo/relay.key', f.read(), 0o600)
    machine.run('mkdir', '/tmp/inbox', check=True)
    machine.spawn('relevo', 'sink', '--listen', '127.0.0.1:2526', '--store', '/tmp/inbox', '--quiet')
    return Service(machine)


@pytest.fixture
def service(installed):
    installed.ctl('reset-failed')
    r = installed.ctl('start')
    assert r.returncode == 0, r.stderr + installed.journal()
    return installed


def test_starts(service):
    """systemctl start comes back when mail is taken, and the unit's fences and ours stand one within the other."""
    assert service.shows('ActiveState', 'SubState', 'Type', 'WatchdogUSec') == ['active', 'running', 'notify', '1min']
    service.mail()
    told = service.journal()
    assert 'no capabilities, system calls filtered, files by Landlock' in told or 'no Landlock' in told, told
    assert 'WARNING' not in told and 'cannot' not in told, told
    names = {}
    for pid in service.all_pids():
        with open('/proc/%d/status' % pid) as f:
            words = dict(re.findall(r'(?m)^(\w+):\s*(.*)$', f.read()))
        names.setdefault(words['Uid'].split()[0], []).append(words['Name'])
        assert words['NoNewPrivs'] == '1' and words['Seccomp'] == '2'
    assert len(names) == 3, names       # root, relevo, relevo-keys


def test_reload(service):
    pid = service.pid()
    service.machine.write('/etc/relevo/relevo.conf', CONF + '# changed\n')
    assert service.ctl('reload').returncode == 0
    wait_for(lambda: ' reloaded ' in service.journal())
    service.mail()
    assert service.pid() == pid


def test_a_worker_that_dies_is_no_restart(service):
    pid = service.pid()
    with open('/proc/%d/task/%d/children' % (pid, pid)) as f:
        children = [int(x) for x in f.read().split()]
    for child in children:
        os.kill(child, signal.SIGKILL)
    wait_for(lambda: ' crashed ' in service.journal(), 20)
    service.mail()
    assert service.pid() == pid and service.shows('NRestarts') == ['0']


def test_watchdog(service):
    """A supervisor that says nothing for WatchdogSec is ended by systemd, and another one takes the mail."""
    service.machine.write('/run/systemd/system/relevo.service.d/watchdog.conf', '[Service]\nWatchdogSec=2\n')
    service.machine.run('systemctl', 'daemon-reload', check=True)
    assert service.ctl('restart').returncode == 0
    pid, began = service.pid(), time.monotonic()
    time.sleep(3 * PATIENCE)
    assert service.pid() == pid         # it is told often enough
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: service.shows('NRestarts') == ['1'], 30)
    assert time.monotonic() - began > 2
    wait_for(lambda: service.shows('ActiveState') == ['active'], 20)
    told = service.journal()
    assert 'Watchdog timeout (limit 2s)!' in told, told
    assert service.pid() != pid
    service.mail()
    service.machine.run('rm', '-r', '/run/systemd/system/relevo.service.d')
    service.machine.run('systemctl', 'daemon-reload', check=True)


def test_killed(service):
    """kill -9 of the supervisor: all of it goes, and is there again after RestartSec."""
    before = set(service.all_pids())
    os.kill(service.pid(), signal.SIGKILL)
    wait_for(lambda: service.shows('NRestarts') != ['0'] and service.shows('ActiveState') == ['active'], 20)
    assert not before & set(service.all_pids())
    service.mail()


def test_a_wrong_configuration(service):
    """is refused by a reload, which changes nothing, and by a start, which fails with the sentence in the journal."""
    service.machine.write('/etc/relevo/relevo.conf', CONF + 'nonsense\n')
    service.ctl('reload')
    wait_for(lambda: 'nonsense' in service.journal())
    service.mail()
    service.ctl('stop')
    assert service.ctl('start').returncode != 0
    service.ctl('stop')
    service.machine.write('/etc/relevo/relevo.conf', CONF)


def test_stop(service):
    began = time.monotonic()
    assert service.ctl('stop').returncode == 0
    assert time.monotonic() - began < 10 * PATIENCE
    assert service.shows('ActiveState', 'Result', 'ExecMainStatus') == ['inactive', 'success', '0']


def test_analyze(machine):
    r = machine.run('systemd-analyze', 'verify', '/lib/systemd/system/relevo.service')
    assert r.returncode == 0 and 'relevo' not in r.stderr, r.stderr


def test_exposure():
    """systemd's own measure of what a unit may do, from 0 to 10, as this unit has it: 2.8. What is left are root and its six rights."""
    if not os.access('/usr/bin/systemd-analyze', os.X_OK):
        pytest.fail('systemd is not installed: run tools/deps')
    r = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--threshold=28', '--no-pager',
                        os.path.join(ROOT, 'tools', 'relevo.service')], capture_output=True, text=True, timeout=60)
    found = re.search(r'Overall exposure level for relevo.service: ([0-9.]+)', r.stdout)
    assert r.returncode == 0 and found, r.stdout[-2000:] + r.stderr
