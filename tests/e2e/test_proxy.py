"""Behind a proxy: the PROXY protocol (curl, raw, together with TLS), XCLIENT, early talkers, the tarpit."""
import socket, ssl, struct, time

import pytest

from certs import Authority
from relevo import PATIENCE, Client, free_port, wait_for
from test_clients import MESSAGE, need, run

RULES = '''route next {
	host 127.0.0.1:%d
	tls off
}
accept from local to any via next
accept from any to domain ours.example via next
'''
V2 = b'\r\n\r\n\0\r\nQUIT\n'


def v2(source, command=1, more=b''):
    family = 2 if ':' in source else 1
    kind = socket.AF_INET6 if family == 2 else socket.AF_INET
    body = socket.inet_pton(kind, source) * 2 + struct.pack('!HH', 40000, 25) + more
    return V2 + bytes([0x20 | command, family << 4 | 1]) + struct.pack('!H', len(body)) + body


class Proxied(Client):
    def __init__(self, port, header, **kw):
        super().__init__(port, greet=False, **kw)
        self.send(header)
        self.greeting = self.reply()


@pytest.fixture
def proxied(make_relay, make_sink):
    port, sink = free_port(), make_sink()
    relay = make_relay(RULES % sink.port + 'listen 127.0.0.1:%d {\n\tproxy from 127.0.0.0/8\n}\n' % port)
    return relay, port, sink


@pytest.mark.parametrize('header, client', [
    (b'PROXY TCP4 198.51.100.7 10.0.0.1 40000 25\r\n', '198.51.100.7'),
    (b'PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n', '2001:db8::7'),
    (b'PROXY UNKNOWN\r\n', '127.0.0.1'),
    (v2('198.51.100.8'), '198.51.100.8'),
    (v2('2001:db8::8', more=b'\x02\0\x0cmail.example'), '2001:db8::8'),
    (v2('198.51.100.8', command=0), '127.0.0.1'),
], ids=['v1', 'v1 IPv6', 'v1 unknown', 'v2', 'v2 IPv6 with a TLV', 'v2 local'])
def test_proxy(proxied, header, client):
    relay, port, sink = proxied
    c = Proxied(port, header)
    assert c.greeting[0] == 220
    c.hello()
    assert c.mail(b'Subject: x\r\n\r\nx\r\n', to=['u@ours.example'])[0] == 250
    assert c.cmd('MAIL FROM:<a@b.example>')[0] == 250
    # whom the proxy speaks for is no client on this machine
    assert c.cmd('RCPT TO:<x@elsewhere.example>')[0] == (250 if client == '127.0.0.1' else 550)
    c.close()
    wait_for(lambda: sink.messages)
    assert client.encode() in sink.messages[0].content.split(b'\r\n')[0]
    assert relay.wait_event('received')[0]['client'] == client
    if client != '127.0.0.1':
        told = wait_for(lambda: [e for e in relay.events('connected') if 'proxy' in e])
        assert told[0]['client'].strip('[]').startswith(client) and told[0]['proxy'].startswith('127.0.0.1')


@pytest.mark.parametrize('header', [b'EHLO client.example\r\n', b'PROXY TCP4 nonsense\r\n', V2 + b'\x31\x11\0\x0c' + b'x' * 12,
                                    b'PROXY ' + b'x' * 200, V2 + b'\x21\x11\xff\xff'])
def test_no_header(proxied, header):
    relay, port, sink = proxied
    with socket.create_connection(('127.0.0.1', port), 20 * PATIENCE) as s:
        s.sendall(header)
        try:
            assert s.recv(100) == b''
        except ConnectionResetError:
            pass
    # the other one is the look whether the relay is up
    assert 'bad-proxy' in [e['reason'] for e in relay.wait_event('disconnected', 2)]


def test_silent(proxied):
    """A proxy that says nothing is let go after its time, and holds nobody up meanwhile."""
    relay, port, sink = proxied
    with socket.create_connection(('127.0.0.1', port), 30 * PATIENCE) as s:
        began = time.monotonic()
        c = Proxied(port, v2('198.51.100.8'))
        assert c.greeting[0] == 220 and time.monotonic() - began < 5
        c.close()
        assert s.recv(100) == b''
        assert 8 < time.monotonic() - began < 20 * PATIENCE


def test_curl(proxied, tmp_path):
    relay, port, sink = proxied
    (tmp_path / 'm').write_bytes(MESSAGE.encode())
    run([need('curl'), '--no-progress-meter', '--haproxy-protocol', 'smtp://127.0.0.1:%d/c.example' % port, '--mail-from',
         'a@client.example', '--mail-rcpt', 'b@dest.example', '--upload-file', str(tmp_path / 'm')])
    wait_for(lambda: sink.messages)


def test_proxy_with_tls(make_relay, make_sink, tmp_path):
    """The header stands before the handshake, be it in one packet with it."""
    ca = Authority(tmp_path)
    server, port, sink = ca.issue('relay.test.example'), free_port(), make_sink()
    relay = make_relay('tls {\n\tcertificate %s\n\tkey %s\n}\n' % (server.certificate, server.key) + RULES % sink.port +
                       'listen 127.0.0.1:%d {\n\ttls implicit\n\tproxy from 127.0.0.0/8\n}\n' % port)
    for header in (b'PROXY TCP4 198.51.100.7 10.0.0.1 40000 25\r\n', v2('198.51.100.7', more=b'\x02\0\x0cmail.example')):
        context = ssl.create_default_context(cafile=ca.certificate)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname='relay.test.example')
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        with socket.create_connection(('127.0.0.1', port), 20 * PATIENCE) as s:
            s.sendall(header + outgoing.read())
            text = b''
            while not text:
                incoming.write(s.recv(65536))
                try:
                    if tls.version() is None or not text:
                        tls.do_handshake()
                    s.sendall(outgoing.read())
                    text = tls.read(1000)
                except ssl.SSLWantReadError:
                    s.sendall(outgoing.read())
            assert text.startswith(b'220 ')
    assert [e['client'] for e in relay.wait_event('tls', 2)] == ['198.51.100.7'] * 2


def test_xclient(make_relay, make_sink):
    port, sink = free_port(), make_sink()
    relay = make_relay(RULES % sink.port + 'listen 127.0.0.1:%d {\n\txclient from 127.0.0.1\n}\n' % port)
    c = Client(port)
    assert [o for o in c.hello() if o.startswith('XCLIENT ')]
    assert c.cmd('XCLIENT ADDR=198.51.100.9 NAME=mx.client.example HELO=helo.client.example PROTO=ESMTP')[0] == 220
    assert c.cmd('MAIL FROM:<a@b.example>')[0] == 250
    assert c.cmd('RCPT TO:<x@elsewhere.example>')[0] == 550
    assert c.cmd('XCLIENT ADDR=127.0.0.1')[0] == 503
    assert c.cmd('RSET')[0] == 250
    assert c.mail(b'x: y\r\n\r\nx\r\n', to=['u@ours.example'])[0] == 250
    c.close()
    wait_for(lambda: sink.messages)
    assert b'from helo.client.example (mx.client.example [198.51.100.9])' in sink.messages[0].content
    c = relay.client()
    assert not [o for o in c.hello() if o.startswith('XCLIENT')]
    assert c.cmd('XCLIENT ADDR=198.51.100.9')[0] == 502
    c.close()


def test_swaks_xclient(make_relay, make_sink):
    port, sink = free_port(), make_sink()
    make_relay(RULES % sink.port + 'listen 127.0.0.1:%d {\n\txclient from 127.0.0.1\n}\n' % port)
    run([need('swaks'), '--server', '127.0.0.1:%d' % port, '--xclient-addr', '198.51.100.9', '--xclient-name', 'mx.client.example',
         '--from', 'a@b.example', '--to', 'u@ours.example'])
    wait_for(lambda: sink.messages)
    assert b'(mx.client.example [198.51.100.9])' in sink.messages[0].content


def test_swaks_xclient_in_lines(make_relay, make_sink, tmp_path):
    """Several lines, one after the other; before STARTTLS and behind it."""
    ca, port, sink = Authority(tmp_path), free_port(), make_sink()
    server = ca.issue('relay.test.example')
    make_relay('tls {\n\tcertificate %s\n\tkey %s\n}\n' % (server.certificate, server.key) + RULES % sink.port +
               'listen 127.0.0.1:%d {\n\txclient from 127.0.0.1\n}\n' % port)
    for more in ([], ['--tls'], ['--tls', '--xclient-before-starttls']):
        run([need('swaks'), '--server', '127.0.0.1:%d' % port, '--xclient', 'NAME=mx.client.example', '--xclient', 'ADDR=198.51.100.9 PORT=77',
             '--xclient', 'PROTO=ESMTP', '--helo', 'swaks.example', '--from', 'a@b.example', '--to', 'u@ours.example'] + more)
    wait_for(lambda: len(sink.messages) == 3)
    for m in sink.messages:
        assert b'from swaks.example (mx.client.example [198.51.100.9])' in m.content


# ---- manners

def test_early_talker_and_tarpit(make_relay, make_sink):
    """Strangers (a proxy makes them some) who talk first are cut; errors cost time."""
    port, sink = free_port(), make_sink()
    relay = make_relay(RULES % sink.port + '''listen 127.0.0.1:%d {
	proxy from 127.0.0.0/8
	early_talker reject
	greet_delay 1s
	tarpit 1s after 2
}
''' % port)
    c = Proxied(port, v2('198.51.100.8') + b'EHLO hasty.example\r\n')
    assert c.greeting[0] == 554 and c.reply()[0] == 0
    c.close()
    began = time.monotonic()
    c = Proxied(port, v2('198.51.100.8'))
    assert c.greeting[0] == 220 and time.monotonic() - began > 0.9
    c.hello()
    took = []
    for i in range(4):
        began = time.monotonic()
        assert c.cmd('EXPN x')[0] == 502
        took.append(time.monotonic() - began)
    assert max(took[:2]) < 0.9 * PATIENCE and min(took[2:]) > 0.9, took
    c.close()
    assert relay.wait_event('disconnected', 2)[1]['reason'] == 'early-talker'
    c = relay.client()      # others are not made to wait
    c.close()
