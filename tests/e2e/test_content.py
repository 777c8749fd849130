"""D5: content arrives byte for byte, with only trace fields before it."""
import glob, os, re

import pytest

from relevo import Client, ROUTE, TESTDATA, split_trace, wait_for


def crlf(raw):
    """The file as it would go over SMTP: every line ends in CRLF; nothing else is touched."""
    return re.sub(rb'\r\n|\r|\n', b'\r\n', raw)


def corpus():
    return sorted(glob.glob(os.path.join(TESTDATA, 'mime-*', '**', '*.eml'), recursive=True))


def send_all(relay, sink, contents):
    c = relay.client()
    c.hello()
    for i, content in enumerate(contents):
        code, text = c.mail(content, to=('m%d@dest.example' % i,), params=' BODY=8BITMIME')
        assert code == 250, (i, code, text)
    c.close()
    wait_for(lambda: len(sink.messages) >= len(contents), 60)
    return {re.search(r'<m(\d+)@', m.rcpt[0]).group(1): m.content for m in sink.messages}


def check(content, got):
    """The original stands at the end; what is before it is trace fields (and, locally, Date and Message-ID)."""
    assert got.endswith(content)
    head = got[:len(got) - len(content)]
    trace, rest = split_trace(head)
    for line in rest.splitlines():
        assert re.match(rb'(Message-ID|Date): ', line), line


def test_corpus(make_relay, make_sink):
    files = corpus()
    if not files:
        pytest.skip('no testdata here: ' + TESTDATA)
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    contents = []
    for f in files:
        with open(f, 'rb') as fh:
            content = crlf(fh.read())
        contents.append(content if content.endswith(b'\r\n') or not content else content + b'\r\n')
    got = send_all(relay, sink, contents)
    assert len(got) == len(contents)
    for i, content in enumerate(contents):
        check(content, got[str(i)])


NASTY = {
    'empty': b'',
    'only an empty line': b'\r\n',
    'dot lines': b'Subject: x\r\n\r\n.\r\n..\r\n...\r\n.x\r\n\r\n.\r\n',
    'no header': b'just text\r\nmore\r\n',
    'mbox line first': b'From someone Thu Jan  1 00:00:00 1970\r\nSubject: x\r\n\r\nbody\r\n',
    'return-path and bcc': b'Return-Path: <x@y.example>\r\nBcc: secret@z.example\r\nSubject: x\r\n\r\nbody\r\n',
    'eight bit header': b'Subject: \xfc\xe4\xff\r\n\r\n\xff\xfe\r\n',
    'nul': b'Subject: x\r\n\r\na\x00b\r\n',
    'long line': b'Subject: x\r\n\r\n' + b'y' * 100000 + b'\r\n',
    'long line of dots': b'Subject: x\r\n\r\n' + b'.' * 70000 + b'\r\n.\r\n',
    'no final header line': b'Subject: x\r\n',
    'blank in field': b'Subject : x\r\n\r\nbody\r\n',
    'folded': b'Subject: x\r\n\ty\r\n z\r\n\r\nbody\r\n',
}


def test_nasty(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    contents = list(NASTY.values())
    got = send_all(relay, sink, contents)
    for i, (name, content) in enumerate(NASTY.items()):
        try:
            check(content, got[str(i)])
        except AssertionError as e:
            raise AssertionError(name) from e


@pytest.mark.parametrize('network', [False, True])
def test_missing_fields(make_relay, make_sink, network):
    """Date and Message-ID are added for mail from `local` only, directly below Received."""
    sink = make_sink()
    # 127.0.0.0/8 is always local, so a client that is not local needs an address of its own kind: a rule by
    # network still leaves it local. What is not local cannot be made on loopback; see the unit tests of receive/.
    if network:
        pytest.skip('every loopback client is local; covered by tests/unit/receive')
    relay = make_relay(ROUTE % sink.port)
    got = send_all(relay, sink, [b'Subject: x\r\n\r\nb\r\n', b'Date: d\r\nMessage-ID: <a@b>\r\n\r\nb\r\n',
                                 b'message-id: <a@b>\r\n\r\nb\r\n'])
    assert re.search(rb'\r\nDate: [^\r]*\r\n', got['0']) and re.search(rb'\r\nMessage-ID: <[^>]+>\r\n', got['0'])
    assert got['1'].count(b'Date:') == 1 and got['1'].lower().count(b'message-id:') == 1
    assert got['2'].count(b'Date:') == 1 and got['2'].lower().count(b'message-id:') == 1


def test_received_field(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    got = send_all(relay, sink, [b'Subject: x\r\n\r\nb\r\n'])['0']
    field = re.sub(rb'\r\n[ \t]+', b' ', split_trace(got)[0]).decode()
    assert re.match(r'Received: from client\.example \(.*\[127\.0\.0\.1\]\) by relay\.test\.example with ESMTP id '
                    r'[0-9A-Z-]+ for <m0@dest\.example>; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n$', field), field


@pytest.mark.parametrize('end', [b'\n.\n', b'\r.\r', b'\n.\r\n', b'\r\n.\n', b'\r\n.\r', b'\r.\r\n', b'\n\r\n.\r\n\n'])
def test_smuggling(make_relay, make_sink, end):
    """D7: a false end of data never ends the message; the whole is refused and the session goes on."""
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    c = relay.client()
    c.hello()
    smuggled = b'MAIL FROM:<evil@client.example>\r\nRCPT TO:<victim@dest.example>\r\nDATA\r\nSubject: evil\r\n\r\n'
    c.cmd('MAIL FROM:<a@client.example>')
    c.cmd('RCPT TO:<b@dest.example>')
    assert c.cmd('DATA')[0] == 354
    c.send(b'Subject: x\r\n\r\nfirst' + end + smuggled + b'.\r\n')
    code, text = c.reply()
    if end == b'\n\r\n.\r\n\n':
        # Here the true end stands in the middle: what follows is commands, and the bare LF before it refused the content.
        assert code == 554
    else:
        assert code == 554 and text.startswith('5.6.0'), (code, text)
        assert c.cmd('NOOP')[0] == 250
        assert c.mail(b'Subject: good\r\n\r\nx\r\n')[0] == 250
        wait_for(lambda: sink.messages)
        assert len(sink.messages) == 1 and b'good' in sink.messages[0].content
    c.close()


@pytest.mark.parametrize('size', [50_000_000, 100_000_000])
def test_large(make_relay, make_sink, size):
    """A large message costs no more memory than a small one, and arrives whole."""
    sink = make_sink()
    relay = make_relay('message {\n\tsize_max 120M\n}\n' + ROUTE % sink.port)

    def peak():
        with open('/proc/%d/status' % relay.worker()) as f:
            return int(re.search(r'VmHWM:\s+(\d+)', f.read()).group(1)) / 1024
    before = peak()
    line = b'%07d' + b'x' * 69 + b'\r\n'
    content = b'Subject: large\r\n\r\n' + b''.join(line % i for i in range(size // 78))
    c = relay.client(timeout=60)
    c.hello()
    assert c.mail(content)[0] == 250
    wait_for(lambda: sink.messages, 60)
    assert sink.messages[0].content.endswith(content)
    import os as _os
    if 'RELEVO_PATIENCE' not in _os.environ:
        assert peak() - before < 24, 'memory grew by %.1f MB' % (peak() - before)
    c.close()


def test_size_limits(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay('message {\n\tsize_max 100K\n}\n' + ROUTE % sink.port)
    c = relay.client()
    offers = c.hello()
    assert 'SIZE 102400' in offers
    code, text = c.cmd('MAIL FROM:<a@client.example> SIZE=102401')
    assert code == 552 and text.startswith('5.3.4')
    c.cmd('MAIL FROM:<a@client.example>')
    c.cmd('RCPT TO:<b@dest.example>')
    code, text = c.data(b'x' * 70 + b'\r\n' + (b'y' * 70 + b'\r\n') * 3000)
    assert code == 552 and text.startswith('5.3.4'), (code, text)
    assert c.mail(b'Subject: fits\r\n\r\n')[0] == 250
    c.close()


def test_bdat(make_relay, make_sink):
    sink = make_sink(offers=('PIPELINING', '8BITMIME', 'CHUNKING', 'BINARYMIME'))
    relay = make_relay(ROUTE % sink.port)
    c = relay.client()
    c.hello()
    content = b'Subject: x\r\n\r\nbare\nand\rand\x00.\r\n.\r\nend'
    assert c.cmd('MAIL FROM:<a@client.example> BODY=BINARYMIME')[0] == 250
    assert c.cmd('RCPT TO:<b@dest.example>')[0] == 250
    c.send(b'BDAT 10\r\n' + content[:10] + b'BDAT %d LAST\r\n' % (len(content) - 10) + content[10:])
    assert c.reply()[0] == 250 and c.reply()[0] == 250
    wait_for(lambda: sink.messages)
    assert sink.messages[0].content.endswith(content)
    # Without BINARYMIME a bare LF is refused at the end, and the octets of a refused BDAT are read away.
    c.cmd('MAIL FROM:<a@client.example>')
    c.cmd('RCPT TO:<b@dest.example>')
    c.send(b'BDAT 4 LAST\r\na\nb\n')
    code, text = c.reply()
    assert code == 554 and text.startswith('5.6.0')
    c.send(b'BDAT 7 LAST\r\nQUIT\r\nxNOOP\r\n')
    assert c.reply()[0] == 503
    assert c.reply()[0] == 250
    c.close()


def test_binary_to_a_hop_without(make_relay, make_sink):
    """BINARYMIME to a hop that does not offer it fails with 5.6.3, and the sender is told."""
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    c = relay.client()
    c.hello()
    c.cmd('MAIL FROM:<a@client.example> BODY=BINARYMIME')
    c.cmd('RCPT TO:<b@dest.example>')
    c.send(b'BDAT 3 LAST\r\na\nb')
    assert c.reply()[0] == 250
    wait_for(lambda: sink.messages)
    assert 'MAIL FROM:<>' in sink.messages[0].mail and b'5.6.3' in sink.messages[0].content
    c.close()
