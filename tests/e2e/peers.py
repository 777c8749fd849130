"""Debian's Exim and OpenSMTPD as next hops: each takes everything from loopback and passes it on to one port.

Their packages exclude Postfix's, so tools/deps only unpacks them, into build/peers. Each runs in namespaces of its own, with
an /etc, users and folders made for it: nothing of the machine is touched, and one signal ends it with all its children.
Needs root for that; without, or without the packages, the test is skipped.
"""
import os, pwd, shutil, signal, smtplib, socket, subprocess, tempfile

import pytest

from relevo import ROOT, free_port, wait_for

PEERS = os.environ.get('RELEVO_PEERS', os.path.join(ROOT, 'build', 'peers'))
ETC = 'passwd group nsswitch.conf hosts host.conf services protocols ld.so.cache localtime'
USERS = 'Debian-exim opensmtpd opensmtpq'
FIRST_ID = 64100    # for users that the machine has not

# $1 etc, $2 state, $3 the package's root; then the command
ENTER = '''set -e
hostname peer.test.example
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /usr/libexec
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/spool
mkdir -m 755 -p /usr/libexec/opensmtpd /var/lib/opensmtpd/empty
mkdir -m 711 /var/spool/smtpd
[ ! -d "$2/usr/libexec/opensmtpd" ] || mount --bind "$2/usr/libexec/opensmtpd" /usr/libexec/opensmtpd
mount --bind "$1" /etc
shift 2
exec "$@"
'''

EXIM = '''primary_hostname = peer.test.example
exim_path = %(root)s/usr/sbin/exim4
spool_directory = %(folder)s/spool
log_file_path = %(folder)s/spool/log-%%s
pid_file_path = %(folder)s/spool/pid
daemon_smtp_ports = %(port)d
local_interfaces = 127.0.0.1
tls_advertise_hosts =
disable_ipv6 = true
host_lookup =
rfc1413_query_timeout = 0s
never_users =
acl_smtp_rcpt = accept
begin routers
all:
  driver = manualroute
  transport = out
  route_list = * 127.0.0.1 byname
  self = send
begin transports
out:
  driver = smtp
  port = %(next)d
  allow_localhost = true
  hosts_avoid_tls = *
begin retry
* * F,1h,1s
'''

OPENSMTPD = '''listen on 127.0.0.1 port %(port)d hostname peer.test.example
action "out" relay host "smtp://127.0.0.1:%(next)d" helo peer.test.example
match from any for any action "out"
'''


class Peer:
    def __init__(self, name, package, conf, conf_path, command, next_port):
        self.name, self.root = name, os.path.join(PEERS, package, 'root')
        if os.getuid() != 0:
            pytest.skip('%s needs root for its namespaces' % name)
        if not os.path.isdir(self.root):
            pytest.skip('%s is not there: tools/deps could not get its package' % name)
        if subprocess.run(['unshare', '-mpu', '--fork', 'true'], stderr=subprocess.DEVNULL).returncode:
            pytest.skip('no namespaces here, which %s needs' % name)
        self.folder, self.port = tempfile.mkdtemp(prefix='peer-e2e-'), free_port()
        os.chmod(self.folder, 0o755)
        self.make_etc()
        names = {'root': self.root, 'folder': self.folder, 'port': self.port, 'next': next_port}
        path = os.path.join(self.folder, 'etc', conf_path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(conf % names)
        os.chmod(path, 0o600 if package == 'opensmtpd' else 0o644)
        with open(self.folder + '/out', 'wb') as out:
            self.p = subprocess.Popen(['unshare', '-mpu', '--fork', '--kill-child=KILL', 'bash', '-c', ENTER, name,
                                       self.folder + '/etc', self.root] + [w % names for w in command],
                                      stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        try:
            wait_for(self.greets, 20)
        except AssertionError:
            print(self.log())
            self.close()
            raise

    def make_etc(self):
        etc = os.path.join(self.folder, 'etc')
        os.mkdir(etc)
        for name in ETC.split():
            if os.path.exists('/etc/' + name):
                shutil.copy('/etc/' + name, os.path.join(etc, name))
        with open(etc + '/passwd', 'a') as users, open(etc + '/group', 'a') as groups:
            for i, name in enumerate(USERS.split()):
                try:
                    pwd.getpwnam(name)
                except KeyError:
                    users.write('%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n' % (name, FIRST_ID + i, FIRST_ID + i))
                    groups.write('%s:x:%d:\n' % (name, FIRST_ID + i))
        with open(etc + '/nsswitch.conf', 'w') as f:
            f.write('passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n')
        with open(etc + '/mailname', 'w') as f:
            f.write('peer.test.example\n')
        with open(etc + '/resolv.conf', 'w') as f:
            f.write('lookup file\n')        # nobody asks the DNS

    def greets(self):
        if self.p.poll() is not None:
            raise AssertionError('%s ended with %s:\n%s' % (self.name, self.p.returncode, self.log()))
        try:
            with smtplib.SMTP('127.0.0.1', self.port, timeout=3):
                return True
        except (OSError, smtplib.SMTPException):
            return False

    def log(self):
        text = ''
        for path in ('out', 'spool/log-main', 'spool/log-panic', 'spool/log-reject'):
            try:
                with open(os.path.join(self.folder, path), errors='replace') as f:
                    text += '---- %s: %s\n%s' % (self.name, path, f.read()[-10000:])
            except OSError:
                pass
        return text

    def close(self):
        try:
            os.killpg(self.p.pid, signal.SIGKILL)       # unshare goes, and with it the first process of its namespace
        except OSError:
            pass
        self.p.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Exim(Peer):
    def __init__(self, next_port):
        super().__init__('Exim', 'exim', EXIM, 'exim4/exim4.conf', ['%(root)s/usr/sbin/exim4', '-bdf', '-q2s'], next_port)

    def make_etc(self):
        super().make_etc()
        spool = os.path.join(self.folder, 'spool')
        os.mkdir(spool)
        for line in open(self.folder + '/etc/passwd'):
            if line.startswith('Debian-exim:'):
                os.chown(spool, int(line.split(':')[2]), int(line.split(':')[3]))


class OpenSmtpd(Peer):
    def __init__(self, next_port):
        super().__init__('OpenSMTPD', 'opensmtpd', OPENSMTPD, 'smtpd.conf',
                         ['%(root)s/usr/sbin/smtpd', '-d', '-f', '/etc/smtpd.conf'], next_port)
