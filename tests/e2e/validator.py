"""
For programs that ask the resolver of the system and trust its word about DNSSEC, as Postfix does: unbound on port 53 of a loopback
address, which validates the zones of a test's name server, and a mount namespace in which /etc/resolv.conf names it. Needs root.
"""
import os, shutil, socket, subprocess, tempfile, time

import pytest

from relevo import wait_for

UNBOUND = shutil.which('unbound', path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
CONF = '''server:
  interface: %(address)s
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "%(folder)s"
  pidfile: "%(folder)s/pid"
  logfile: "%(folder)s/log"
  use-syslog: no
  module-config: "validator iterator"
  trust-anchor-file: "%(anchor)s"
  local-zone: "example." nodefault
  trust-anchor-signaling: no
  minimal-responses: no
remote-control:
  control-enable: no
stub-zone:
  name: "%(zone)s"
  stub-addr: %(server)s
'''
ENTER = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'


def claim_address():
    """One on which nobody else has port 53, the only one that resolv.conf knows; it is ours as long as the socket is."""
    for i in range(1, 255):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind('\0relevo-test-validator-%d' % i)
            return claim, '127.0.53.%d' % i
        except OSError:
            claim.close()
    raise AssertionError('all addresses are taken')


class Validator:
    def __init__(self, zone, anchor, names):
        """zone: its name; anchor: the text of its key; names: a dns.NameServer that serves it."""
        if not UNBOUND:
            pytest.fail('unbound is not installed: run tools/deps')
        if os.getuid() != 0 or subprocess.run(['unshare', '-m', 'true'], stderr=subprocess.DEVNULL).returncode:
            pytest.skip('port 53 and a resolv.conf of its own take root and namespaces')
        self.claim, self.address = claim_address()
        self.folder = tempfile.mkdtemp(prefix='unbound-e2e-')
        os.chmod(self.folder, 0o755)
        for name, text in (('anchor', anchor), ('resolv', 'nameserver %s\noptions trust-ad edns0 timeout:3\n' % self.address),
                           ('hosts', '127.0.0.1 localhost\n'),
                           ('conf', CONF % dict(address=self.address, folder=self.folder, anchor=self.folder + '/anchor', zone=zone,
                                                server='%s@%d' % (names.ip, names.port)))):
            with open(os.path.join(self.folder, name), 'w') as f:
                f.write(text)
        self.p = subprocess.Popen([UNBOUND, '-d', '-c', self.folder + '/conf'], stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                                  stdout=open(self.folder + '/err', 'w'))
        self.zone = zone
        try:
            wait_for(self.answers)
        except AssertionError:
            print(self.log())
            self.stop()
            raise

    def answers(self):
        assert self.p.poll() is None, self.log()
        r = subprocess.run(['dig', '+dnssec', '+time=1', '+tries=1', '@' + self.address, self.zone, 'SOA'], capture_output=True, text=True)
        time.sleep(0 if r.returncode == 0 else 0.1)
        return ' ad' in r.stdout

    def inside(self, command):
        """The command, for a process that asks this resolver."""
        return ['unshare', '-m', 'sh', '-c', ENTER, 'sh', self.folder + '/resolv', self.folder + '/hosts', *command]

    def log(self):
        text = ''
        for name in ('err', 'log'):
            if os.path.exists(os.path.join(self.folder, name)):
                with open(os.path.join(self.folder, name)) as f:
                    text += f.read()
        return text

    def stop(self):
        self.p.terminate()
        self.p.wait()
        self.claim.close()
        shutil.rmtree(self.folder, ignore_errors=True)
