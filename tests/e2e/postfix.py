"""Debian's Postfix in a folder of its own: as a relay before or behind us, or as the mail exchanger of some domains.

Needs root to start, as its master process does; its daemons run as the user postfix. Ended by its process group.
"""
import grp, os, pwd, re, shutil, signal, smtplib, subprocess, tempfile

from relevo import free_port, wait_for

SERVICES = '''cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
'''
FOLDERS = 'active bounce corrupt defer deferred flush hold incoming private saved trace maildrop public pid'


class Postfix:
    """
    Relays everything to next_port of this machine, or to next_hop as its relayhost says it; inside: puts its command into a
    namespace. With domains and addresses it listens on these addresses, takes mail for these domains,
    and throws it away at the end: delivered() counts it.
    """

    def __init__(self, next_port=None, addresses=('127.0.0.1',), domains=(), more='', next_hop=None, inside=list):
        self.folder, self.addresses = tempfile.mkdtemp(prefix='postfix-e2e-'), addresses
        self.port = free_port(addresses[0])
        os.chmod(self.folder, 0o755)
        self.conf, queue, data = (os.path.join(self.folder, x) for x in ('conf', 'spool', 'data'))
        self.make_folders(queue, data)
        next_hop = next_hop or next_port and '[127.0.0.1]:%d' % next_port
        way = 'relayhost = %s\nmynetworks = 127.0.0.0/8\n' % next_hop if next_hop else \
            'mynetworks =\nrelay_domains = %s\nrelay_transport = discard:\nsmtpd_relay_restrictions = reject_unauth_destination\n' % \
            ' '.join(domains)
        with open(os.path.join(self.conf, 'main.cf'), 'w') as f:
            f.write('compatibility_level = 3.6\nqueue_directory = %s\ndata_directory = %s\ncommand_directory = /usr/sbin\n'
                    'daemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\nsetgid_group = postdrop\n'
                    'myhostname = postfix.test.example\nmydestination =\nlocal_recipient_maps =\nalias_maps =\n'
                    'inet_interfaces = all\ninet_protocols = ipv4\nmaillog_file = %s/maillog\nmaillog_file_prefixes = /\n%s%s'
                    % (queue, data, self.folder, way, more))
        with open(os.path.join(self.conf, 'master.cf'), 'w') as f:
            f.write(''.join('%s:%d inet n - n - - smtpd\n' % (a, self.port) for a in addresses) + SERVICES)
        self.p = subprocess.Popen(inside(['/usr/lib/postfix/sbin/master', '-d', '-c', self.conf]), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                                  env=dict(os.environ, MAIL_CONFIG=self.conf))
        try:
            wait_for(self.greets, 15)
        except AssertionError:
            print(self.log())
            self.close()
            raise

    def make_folders(self, queue, data):
        owner, drop = pwd.getpwnam('postfix').pw_uid, grp.getgrnam('postdrop').gr_gid
        for d in (self.conf, queue, data):
            os.mkdir(d)
        os.chown(data, owner, -1)
        for d in FOLDERS.split():
            p = os.path.join(queue, d)
            os.mkdir(p)
            if d != 'pid':
                os.chown(p, owner, drop if d in ('maildrop', 'public') else -1)
                os.chmod(p, {'maildrop': 0o730, 'public': 0o710}.get(d, 0o700))

    def greets(self):
        try:
            with smtplib.SMTP(self.addresses[0], self.port, timeout=3):
                return True
        except (OSError, smtplib.SMTPException):
            return False

    def log(self):
        try:
            with open(self.folder + '/maillog', errors='replace') as f:
                return f.read()
        except OSError:
            return ''

    def delivered(self):
        """The recipients that it took and was done with."""
        return re.findall(r'/discard\[\d+\]: \w+: to=<(.*?)>.*status=sent', self.log())

    def close(self):
        self.p.terminate()
        try:
            self.p.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.p.pid, signal.SIGKILL)
        except OSError:
            pass
        self.p.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
