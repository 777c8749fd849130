"""Name servers for tests: zones on a real nsd, and a server that misbehaves as told.

    server = NameServer({'example': ZONE_TEXT, '.': ...}, folder)    # a free port of 127.0.0.1, or ip=, port=
    server.address          "127.0.0.1:12345", as the resolver statement wants it
    server.port, server.ip
    server.write('example', NEW_TEXT); server.reload()
    server.kill()           by its pid; stop() in a finally, or use it as "with NameServer(...) as server:"

ZONE_TEXT: records alone are enough, one per line; names are relative to the zone. A SOA (minimum 60 s) and an NS are put before
them if they have none; "$TTL 60" likewise. The resolver gets REFUSED for zones that the server has not; with '.' among the zones
everything else is NXDOMAIN.

    keys = sign(folder, 'signed.example', text)             # -> (text of the signed zone, DNSKEY record for a trust anchor)
    sign(..., expired=True)                                  signatures that ended in the past
    sign(..., broken=True)                                   signatures that do not fit

    with Scripted() as s:                                    # UDP and TCP on one port; threads of this process
        s.on('slow.example', delay=3)                        answer() by default: see Answer
        s.on('dead.example', silent=True)
        s.on('big.example', truncated=True, tcp=False)       TC by UDP, and TCP is closed at once
        s.on('bad.example', rcode=2) ...                     rcode: 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED
        s.asked                                              list of (name, type, 'udp' or 'tcp'), as they came

    words of on(): records=[(type, data octets or a name)], rcode, delay, silent, truncated, tcp, garbage, wrong_id, lame, ttl,
    aa (authoritative; True). "*" is every name that has no line of its own.

Run by itself it serves the unit tests: dns.py nsd|scripted|root FOLDER ... prints the port and serves until its input ends.
"""
import os, shutil, signal, socket, struct, subprocess, sys, threading, time

NSD = shutil.which('nsd', path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
SOA = '@ 60 IN SOA ns hostmaster 1 3600 600 86400 60\n@ 60 IN NS ns\nns 60 IN A 127.0.0.1\n'
TYPES = {'A': 1, 'NS': 2, 'CNAME': 5, 'SOA': 6, 'PTR': 12, 'MX': 15, 'TXT': 16, 'AAAA': 28, 'TLSA': 52}


def available():
    return NSD is not None


def free_port(ip='127.0.0.1'):
    """A port that is free for UDP and TCP alike."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as t, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
            t.bind((ip, 0))
            try:
                u.bind((ip, t.getsockname()[1]))
                return t.getsockname()[1]
            except OSError:
                continue
    raise RuntimeError('no free port')


def zone_text(name, text):
    head = '$ORIGIN %s\n' % (name if name.endswith('.') else name + '.')
    if '$TTL' not in text:
        head += '$TTL 60\n'
    if ' SOA ' not in text and '\tSOA\t' not in text:
        head += SOA
    return head + text + '\n'


class NameServer:
    def __init__(self, zones, folder, ip='127.0.0.1', port=None, start=True):
        self.ip, self.port, self.process = ip, port or free_port(ip), None
        self.folder = os.path.join(str(folder), 'nsd-%s-%d' % (ip, self.port))
        os.makedirs(self.folder, exist_ok=True)
        self.zones = dict(zones)
        for name, text in zones.items():
            self.write(name, text)
        if start:
            self.start()

    @property
    def address(self):
        return '%s:%d' % (self.ip, self.port)

    def path(self, name):
        return os.path.join(self.folder, (name.strip('.') or 'root') + '.zone')

    def write(self, name, text):
        with open(self.path(name), 'w') as f:
            f.write(zone_text(name, text))

    def configuration(self):
        lines = ['server:', '  ip-address: %s@%d' % (self.ip, self.port), '  server-count: 1', '  username: ""', '  chroot: ""',
                 '  zonesdir: "%s"' % self.folder, '  pidfile: "%s/pid"' % self.folder, '  database: ""',
                 '  logfile: "%s/log"' % self.folder, '  xfrdfile: "%s/xfrd"' % self.folder,
                 '  zonelistfile: "%s/list"' % self.folder, '  xfrdir: "%s"' % self.folder, '  rrl-ratelimit: 0',
                 '  tcp-count: 100', 'remote-control:', '  control-enable: no']
        for name in self.zones:
            lines += ['zone:', '  name: "%s"' % (name or '.'), '  zonefile: "%s"' % self.path(name)]
        path = os.path.join(self.folder, 'nsd.conf')
        with open(path, 'w') as f:
            f.write('\n'.join(lines) + '\n')
        return path

    def start(self):
        self.process = subprocess.Popen([NSD, '-d', '-c', self.configuration()], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=open(os.path.join(self.folder, 'err'), 'w'))
        end = time.monotonic() + 10
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError('nsd does not start: ' + open(os.path.join(self.folder, 'err')).read() +
                                   open(os.path.join(self.folder, 'log')).read())
            time.sleep(0.02)
        with open(os.path.join(self.folder, 'log')) as f:
            wrong = [line for line in f if 'error:' in line]
        if wrong:
            self.kill()
            raise RuntimeError('a zone is wrong: ' + ''.join(wrong))

    def answers(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.sendto(question(next(iter(self.zones), '.'), 'SOA'), (self.ip, self.port))
                return len(s.recv(4096)) >= 12
            except OSError:
                return False

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def kill(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    stop = kill

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


# ---- DNSSEC
def run(folder, *command):
    r = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    if r.returncode:
        raise RuntimeError('%s: %s' % (' '.join(command), r.stderr))
    return r.stdout


def sign(folder, name, text, expired=False, broken=False):
    """The zone with signatures, and its key as a line for a trust anchor's file."""
    folder = os.path.join(str(folder), 'keys-' + name)
    os.makedirs(folder, exist_ok=True)
    key = run(folder, 'ldns-keygen', '-a', 'ECDSAP256SHA256', '-k', name).strip()
    with open(os.path.join(folder, 'zone'), 'w') as f:
        f.write(zone_text(name, text))
    times = ['-i', '20200101', '-e', '20200201'] if expired else ['-i', '20200101', '-e', '20370101']
    run(folder, 'ldns-signzone', *times, '-f', 'signed', 'zone', key)
    with open(os.path.join(folder, 'signed')) as f:
        signed = f.read()
    with open(os.path.join(folder, key + '.key')) as f:
        anchor = f.read().split(';')[0].strip() + '\n'
    if broken:
        signed = '\n'.join(spoil(line) for line in signed.split('\n'))
    return signed, anchor


def spoil(line):
    """Another signature than the right one, but the keys' own stays: so it is the data that is wrong."""
    words = line.split()
    if len(words) < 5 or words[3] != 'RRSIG' or words[4] == 'DNSKEY':
        return line
    signature = words[-1]
    return line.replace(signature, ('A' if signature[0] != 'A' else 'B') + signature[1:])


# ---- the wire
def wire_name(name):
    labels = [x for x in name.strip('.').split('.') if x]
    return b''.join(bytes([len(x)]) + x.encode('latin-1') for x in labels) + b'\0'


def question(name, kind, number=4711):
    return struct.pack('>HHHHHH', number, 0x0100, 1, 0, 0, 0) + wire_name(name) + struct.pack('>HH', TYPES.get(kind, kind), 1)


def read_question(packet):
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode('latin-1').lower())
        at += packet[at] + 1
    kind, = struct.unpack('>H', packet[at + 1:at + 3])
    return '.'.join(labels), kind, packet[12:at + 5]


def data_of(kind, data):
    if isinstance(data, bytes):
        return data
    if kind == 'A':
        return socket.inet_pton(socket.AF_INET, data)
    if kind == 'AAAA':
        return socket.inet_pton(socket.AF_INET6, data)
    if kind == 'MX':
        preference, host = data.split()
        return struct.pack('>H', int(preference)) + wire_name(host)
    if kind == 'TXT':
        pieces = [data[i:i + 255] for i in range(0, len(data), 255)] or ['']
        return b''.join(bytes([len(p)]) + p.encode() for p in pieces)
    return wire_name(data)


class Answer:
    def __init__(self, records=(), rcode=0, delay=0, silent=False, truncated=False, tcp=True, garbage=False, wrong_id=False,
                 lame=False, ttl=60, aa=True):
        self.__dict__.update({k: v for k, v in locals().items() if k != 'self'})

    def packet(self, asked, over):
        name, kind, echoed = read_question(asked)
        number, = struct.unpack('>H', asked[:2])
        if self.garbage:
            return asked[:2] + b'\x84\x00' + b'\xff' * 40
        records = [(TYPES[k], data_of(k, d)) for k, d in self.records if kind == TYPES[k] or k == 'CNAME']
        truncated = self.truncated and over == 'udp'
        flags = 0x8000 | (0x0100 if asked[2] & 1 else 0) | (0x0400 if self.aa and not self.lame else 0x0080) | \
            (0x0200 if truncated else 0) | self.rcode
        body, authority = b'', b''
        for t, d in [] if truncated or self.lame else records:
            body += b'\xc0\x0c' + struct.pack('>HHIH', t, 1, self.ttl, len(d)) + d
        if self.lame:        # a referral to the root: "I know nothing, ask above"
            root = wire_name('a.root-servers.net')
            authority = b'\0' + struct.pack('>HHIH', TYPES['NS'], 1, self.ttl, len(root)) + root
            flags &= ~0x0480
        count = 0 if truncated or self.lame else len(records)
        return struct.pack('>HHHHHH', (number ^ 0x5555) if self.wrong_id else number, flags, 1, count, 1 if authority else 0, 0) + \
            echoed + body + authority


class Scripted:
    def __init__(self, ip='127.0.0.1', port=None):
        self.ip, self.port = ip, port or free_port(ip)
        self.asked, self.answers, self.ending = [], {}, False
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((ip, self.port))
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((ip, self.port))
        self.tcp.listen(64)
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def address(self):
        return '%s:%d' % (self.ip, self.port)

    def on(self, name, **words):
        self.answers[name.lower()] = Answer(**words)

    def answer_for(self, name):
        return self.answers.get(name) or self.answers.get('*') or Answer(rcode=3)

    def serve_udp(self):
        while not self.ending:
            try:
                packet, peer = self.udp.recvfrom(4096)
                name, kind, _ = read_question(packet)
            except (OSError, IndexError, struct.error):
                continue
            self.asked.append((name, kind, 'udp'))
            answer = self.answer_for(name)
            if answer.silent:
                continue
            if answer.delay:
                threading.Timer(answer.delay, self.send_udp, (answer.packet(packet, 'udp'), peer)).start()
            else:
                self.send_udp(answer.packet(packet, 'udp'), peer)

    def send_udp(self, packet, peer):
        try:
            self.udp.sendto(packet, peer)
        except OSError:
            pass

    def serve_tcp(self):
        while not self.ending:
            try:
                client, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_client, args=(client,), daemon=True).start()

    def serve_client(self, client):
        with client:
            client.settimeout(10)
            try:
                while not self.ending:
                    head = client.recv(2, socket.MSG_WAITALL)
                    if len(head) < 2:
                        return
                    packet = client.recv(struct.unpack('>H', head)[0], socket.MSG_WAITALL)
                    name, kind, _ = read_question(packet)
                    self.asked.append((name, kind, 'tcp'))
                    answer = self.answer_for(name)
                    if answer.silent or not answer.tcp:
                        return
                    time.sleep(answer.delay)
                    reply = answer.packet(packet, 'tcp')
                    client.sendall(struct.pack('>H', len(reply)) + reply)
            except (OSError, IndexError, struct.error):
                return

    def kill(self):
        self.ending = True
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    stop = kill

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


# ---- for the unit tests: tests/unit/dns/server.h
UNIT_ZONE = '''
@ MX 10 mx1
@ MX 20 mx2
mx1 A 192.0.2.1
mx1 AAAA 2001:db8::1
mx2 A 192.0.2.2
equal MX 10 a.equal
equal MX 10 b.equal
equal MX 10 c.equal
equal MX 5 first.equal
null MX 0 .
nullmixed MX 0 .
nullmixed MX 10 mx1
implicit A 192.0.2.3
text TXT "hello"
alias CNAME @
chain1 CNAME chain2
chain2 CNAME chain3
chain3 CNAME mx1
dangling CNAME nowhere
loop1 CNAME loop2
loop2 CNAME loop1
tocname MX 10 chain1
numeric MX 10 192.0.2.9.
numericmixed MX 5 192.0.2.9.
numericmixed MX 10 mx1
twice MX 10 mx1
twice MX 20 mx1
twice MX 15 mx2
odd MX 10 b\\@d.odd
xn--bcher-kva MX 10 mx1
*.wild MX 10 mx2
*.wild A 192.0.2.4
_25._tcp.mx1 TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
mapped AAAA ::ffff:192.0.2.1
@ TXT "v=spf1 -all"
'''


def unit_zones(folder):
    text = UNIT_ZONE
    text += ''.join('many MX %d m%d.many\n' % (1000 - i, i) for i in range(100))
    text += ''.join('lots A 10.0.%d.%d\n' % (i // 100, i % 100) for i in range(300))
    text += 'long TXT %s\n' % ' '.join('"%s"' % (chr(97 + i) * 250) for i in range(20))
    zones = {'unit.test': text, 'unit.example': '@ MX 10 mx\nmx A 192.0.2.77\n', '2.0.192.in-addr.arpa': '1 PTR mx1.unit.test.\n',
             '127.in-addr.arpa': '1.0.0 PTR localhost.unit.test.\n', 'shortlived.test': '$TTL 1\n' + SOA + 'a 1 IN A 192.0.2.5\n'}
    anchors = ''
    for name, words in (('good.signed', {}), ('expired.signed', {'expired': True}), ('broken.signed', {'broken': True})):
        zones[name], anchor = sign(folder, name, '@ MX 10 mx\nmx A 192.0.2.10\nalias CNAME mx\n', **words)
        anchors += anchor
    with open(os.path.join(folder, 'anchors'), 'w') as f:
        f.write(anchors)
    return zones


def unit_scripted(port):
    s = Scripted(port=port)
    s.on('*', records=[('A', '192.0.2.1'), ('MX', '10 mx.scripted')])
    s.on('silent.scripted', silent=True)
    s.on('servfail.scripted', rcode=2)
    s.on('refused.scripted', rcode=5)
    s.on('lame.scripted', lame=True)
    s.on('garbage.scripted', garbage=True)
    s.on('wrongid.scripted', wrong_id=True, records=[('A', '192.0.2.66')])
    s.on('slow.scripted', delay=0.5, records=[('A', '192.0.2.2')])
    s.on('notcp.scripted', truncated=True, tcp=False, records=[('A', '192.0.2.3')])
    s.on('tcp.scripted', truncated=True, records=[('A', '192.0.2.4')])
    s.on('empty.scripted')
    s.on('nomx.scripted', records=[('A', '192.0.2.5')])
    return s


def main():
    what, folder = sys.argv[1], sys.argv[2]
    if what == 'nsd':
        server = NameServer(unit_zones(folder), folder)
    elif what == 'root':     # a root of our own, with the port that recursion wants
        ip = sys.argv[3]
        root = '. 60 IN SOA ns.fake. h.fake. 1 3600 600 86400 60\n. 60 IN NS ns.fake.\nns.fake. 60 IN A %s\n' % ip
        zone = SOA.replace('127.0.0.1', ip) + '@ MX 10 mx\nmx A 192.0.2.20\n'
        server = NameServer({'.': root + 'fake. 60 IN NS ns.fake.\n', 'fake': zone}, folder, ip=ip, port=53)
        with open(os.path.join(folder, 'hints'), 'w') as f:
            f.write('. 3600 IN NS ns.fake.\nns.fake. 3600 IN A %s\n' % ip)
    else:
        server = unit_scripted(int(sys.argv[3]))
    with server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == '__main__':
    main()
