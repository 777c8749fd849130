"""
systemd as process 1 of a machine in small: namespaces of its own (mounts, processes, network, control groups), the root file system as
it is below an overlay in memory, Relevo installed into that by `make install`. Nothing of it reaches the machine around it.

    with Machine() as m:
        m.run('systemctl', 'start', 'relevo')       # a finished process, as subprocess.run has it
        m.spawn(...)                                # one that goes on; ended with the machine
        m.write('/etc/relevo/relevo.conf', text)
"""
import os, shutil, signal, subprocess, tempfile

import pytest

from relevo import BINARY, PATIENCE, ROOT, wait_for

SYSTEMD = '/lib/systemd/systemd'
# Control groups first, for the namespace of them begins where the process is.
ENTER = '''set -e
cd "$1"
mount -t cgroup2 cgroup2 groups
mkdir groups/"$2"
echo $$ >groups/"$2"/cgroup.procs
exec unshare --mount --pid --fork --kill-child=KILL --uts --ipc --net --cgroup bash machine "$1"
'''
LEAVE = 'cd "$1" && mount -t cgroup2 cgroup2 groups && find groups/"$2" -depth -type d -exec rmdir {} +'
# /proc/sys and /sys cannot be written: what systemd would set there is the machine's around us.
MACHINE = '''set -e
mount -t tmpfs tmpfs "$1/memory"
mkdir "$1/memory/upper" "$1/memory/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/memory/upper,workdir=$1/memory/work" "$1/root"
cd "$1/root"
ip link set lo up
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for d in run tmp dev; do mount -t tmpfs tmpfs $d; done
mkdir dev/pts dev/shm
for d in null zero full random urandom tty; do touch dev/$d; mount --bind /dev/$d dev/$d; done
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx dev/ptmx
rm -rf etc/systemd/system etc/relevo var/log/journal
mkdir etc/systemd/system
printf '[Unit]\\nDescription=Relevo under test\\nRequires=basic.target\\nAfter=basic.target\\n' >etc/systemd/system/machine.target
flock "$SOURCE/build/relevo" make -s -C "$SOURCE" install DESTDIR="$1/root"
exec env -i container=relevo PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin chroot . %s --unit=machine.target
''' % SYSTEMD


class Machine:
    def __init__(self):
        if os.getuid() != 0:
            pytest.skip('systemd as process 1 takes root')
        if not os.access(SYSTEMD, os.X_OK):
            pytest.fail('systemd is not installed: run tools/deps')
        if BINARY != os.path.join(ROOT, 'build', 'relevo'):
            pytest.skip('only the usual build is installed: a checked one writes its own code, which the unit forbids')
        self.folder, self.group, self.spawned, self.pid = tempfile.mkdtemp(prefix='systemd-e2e-'), 'relevo-e2e-%d' % os.getpid(), [], None
        for name in ('memory', 'root', 'groups'):
            os.mkdir(os.path.join(self.folder, name))
        with open(self.folder + '/machine', 'w') as f:
            f.write(MACHINE)
        self.out = open(self.folder + '/out', 'w+')
        self.p = subprocess.Popen(['unshare', '-m', 'bash', '-c', ENTER, 'enter', self.folder, self.group], stdin=subprocess.DEVNULL,
                                  stdout=self.out, stderr=self.out, start_new_session=True, env=dict(os.environ, SOURCE=ROOT))
        try:
            wait_for(self.is_up, 60)
        except AssertionError:
            told = self.text()
            self.close()
            if any(word in told for word in ('Operation not permitted', 'ermission denied', 'wrong fs type', 'No space')):
                pytest.skip('no namespaces, overlays or control groups here, which systemd needs: ' + told.strip())
            raise AssertionError('systemd did not start:\n' + told)

    def text(self):
        self.out.flush()
        with open(self.folder + '/out') as f:
            return f.read()

    def is_up(self):
        if self.p.poll() is not None:
            raise AssertionError('ended')
        try:        # unshare's child is process 1 there
            with open('/proc/%d/task/%d/children' % (self.p.pid, self.p.pid)) as f:
                self.pid = int(f.read().split()[0])
            with open('/proc/%d/comm' % self.pid) as f:
                if f.read().strip() != 'systemd':
                    return False
        except (OSError, IndexError, ValueError):
            return False
        return self.run('systemctl', 'is-active', 'machine.target').stdout.strip() == 'active'

    def inside(self, command):
        return ['nsenter', '-t', str(self.pid), '--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup', '--root', '--wd=/', *command]

    def run(self, *command, input=None, check=False):
        r = subprocess.run(self.inside(command), capture_output=True, text=True, input=input, timeout=60 * PATIENCE)
        assert not check or r.returncode == 0, (command, r.returncode, r.stdout, r.stderr)
        return r

    def spawn(self, *command):
        self.spawned.append(subprocess.Popen(self.inside(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))

    def write(self, path, text, mode=0o644):
        self.run('sh', '-c', 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod %o "$1"' % mode, 'sh', path, input=text, check=True)

    def close(self):
        try:
            os.killpg(self.p.pid, signal.SIGKILL)       # unshare, and with it process 1 and all below it
        except OSError:
            pass
        self.p.wait()
        if self.pid:
            wait_for(lambda: not os.path.exists('/proc/%d' % self.pid))
        for p in self.spawned:
            p.wait()
        self.out.close()
        subprocess.run(['unshare', '-m', 'bash', '-c', LEAVE, 'leave', self.folder, self.group], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)
