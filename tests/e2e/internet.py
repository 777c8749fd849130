"""The Internet in small, for the tests of delivery by MX: zones on a real name server, exchangers on loopback addresses."""
import json, re, subprocess

import dns
from relevo import BINARY, free_port

# where notices for a@client.example go: the first of the exchangers
SENDER_ZONE = 'client MX 10 home.client\nhome.client A 127.0.77.1\n'
RULES = 'accept from local to any via mx\n'


def mx_relay(make_relay, names, port, more='', rules=RULES, options='dnssec off', **words):
    """A relay that asks names, finds exchangers at port, and tries again after a second. more: lines of the route's block."""
    return make_relay('resolver %s {\n\ttimeout 3s\n\t%s\n}\nqueue {\n\tretry 1s\n}\nroute mx {\n\tport %d\n\tidle 1s\n%s}\n%s'
                      % (names.address, options, port, more, rules), **words)


def submit(relay, to, n=1, sender='a@client.example', params=''):
    c = relay.client()
    c.hello()
    for i in range(n):
        code, text = c.mail(b'Subject: t%d\r\n\r\nbody\r\n' % i, sender=sender, to=to, params=params)
        assert code == 250, text
    c.close()


def got(sink):
    return [m for m in list(sink.messages) if 'MAIL FROM:<>' not in m.mail]


def notices(sink):
    return [m for m in list(sink.messages) if 'MAIL FROM:<>' in m.mail]


def recipients(sink):
    return [re.search('<(.*?)>', r).group(1) for m in got(sink) for r in m.rcpt]


def windows(times, period):
    """The most that fell into any window of that length."""
    times, most, i = sorted(times), 0, 0
    for j, t in enumerate(times):
        while times[i] <= t - period:
            i += 1
        most = max(most, j - i + 1)
    return most


class Switch:
    """A script that answers `reply` at a stage while it is on."""

    def __init__(self, stage, reply, on=False):
        self.stage, self.reply, self.on = stage, reply, on

    def __call__(self, stage, argument, session):
        return self.reply if self.on and stage == self.stage else None


def make_exchangers(make_sink, n, scripts=(), more=()):
    """
    Sinks at 127.0.77.1, .2, ... (and at the addresses of more), all on one port, which is where the relay thinks that
    exchangers listen: (port, sinks).
    """
    hosts = ['127.0.77.%d' % (i + 1) for i in range(n)] + list(more)
    for _ in range(20):
        port, sinks = free_port(hosts[0]), []
        try:
            for i, host in enumerate(hosts):
                sinks.append(make_sink(scripts[i] if i < len(scripts) else None, host=host, port=port))
            return port, sinks
        except OSError:
            for s in sinks:
                s.close()
    raise AssertionError('no port is free on all addresses')


def signed_names(folder, sound, wrong, text, how):
    """A name server with two signed zones, the second's signatures wrong (how: broken, expired); .anchor: the file of both keys."""
    zones, anchors = {}, ''
    for name, words in ((sound, {}), (wrong, {how: True})):
        zones[name], anchor = dns.sign(folder, name, text, **words)
        anchors += anchor
    server = dns.NameServer(zones, folder)
    server.anchor = str(folder) + '/anchors'
    with open(server.anchor, 'w') as f:
        f.write(anchors)
    return server


class Provider:
    """
    relevo sink at an address, behaving as its options say; once it has ended, told() is what it counted, and lines() its
    journal, a line for each transaction.
    """

    def __init__(self, folder, address, *options):
        self.stats, self.journal = str(folder / 'stats'), str(folder / 'journal')
        self.p = subprocess.Popen([BINARY, 'sink', '--listen', address, '--stats', self.stats, '--journal', self.journal, '--quiet',
                                   *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self):
        if self.p.poll() is None:
            self.p.terminate()
            self.p.wait()
        self.p.stdout.close()

    def told(self):
        self.end()
        with open(self.stats) as f:
            return json.load(f)

    def lines(self):
        self.end()
        with open(self.journal) as f:
            return f.read().splitlines()
