"""D7 and D8 from outside: smuggling, injection and relay attempts, by raw octets, and what three real servers make of what we pass on."""
import itertools, re, socket, subprocess, time

import pytest

import peers
from relevo import ROUTE, Client, Sink, split_trace, wait_for

# Ends of content that are none, each seen to be taken for one by some server.
FALSE_ENDS = [b'\n.\n', b'\n.\r\n', b'\r\n.\n', b'\r.\r', b'\r.\r\n', b'\r\n.\r', b'\n.\r', b'\r.\n', b'\r\r\n.\n', b'\r\n.\r\r\n',
              b'\n\n.\n\n', b'\r\n.\n.\r', b'\n\r.\n\r', b'\n.\r\n.', b'\r\n\n.\r\n', b'\r\n\r.\r\n', b'\r\n. \n', b'\xe2\x80\xa8.\n',
              b'\r\0\n.\r\0\n', b'\r\n.\r\0\n']
# With a NUL a line is content, and arrives as it is, whatever a server does that cuts text or drops NULs.
NULS = [b'\r\n\0.\r\n', b'\r\n.\0\r\n', b'\r\n\0.\0\r\n', b'\0\r\n.\0.\r\n', b'\r\n.\0\r\n.\0\r\n']
# Content that is fine, and ends in what the writer of a line discipline might get wrong.
CLEAN = [b'\r\n. \r\n', b'\r\n.\t\r\n', b'\r\n.x\r\n', b'\r\n..\r\n', b'\r\n...\r\n', b'\r\n.\xa0\r\n', b'\r\n\x0b.\r\n', b'\r\n\x0c.\r\n',
         b'\r\n\x1a.\r\n', b'\r\n.\x1a\r\n', b'\r\n\xe2\x80\xa8.\xe2\x80\xa8\r\n', b'\r\n\xc2\x85.\xc2\x85\r\n', b'\r\n\xef\xbb\xbf.\r\n']
HEAD = b'Subject: n\r\n\r\nfirst'
EVIL = b'MAIL FROM:<evil@client.example>\r\nRCPT TO:<victim@dest.example>\r\nDATA\r\nSubject: evil\r\n\r\nevil'
ENVELOPE = b'MAIL FROM:<a@client.example>\r\nRCPT TO:<b@dest.example>\r\n'


def names(values):
    return [repr(v)[2:-1].replace('\\', '') for v in values]


def evil(sink):
    return [c for c in sink.commands if 'evil' in c or 'victim' in c]


def begin(relay, last=b'DATA\r\n', code=354):
    c = relay.client()
    c.hello()
    c.send(ENVELOPE)
    assert c.reply()[0] == 250 and c.reply()[0] == 250
    if last:
        c.send(last)
        assert c.reply()[0] == code
    return c


# ---- as a server

@pytest.fixture(scope='module')
def module_relay():
    """One relay and one sink for the tests that only look for what must not happen."""
    from relevo import Relay
    sink = Sink()
    relay = Relay('postmaster post@ours.example via next\n' + ROUTE % sink.port)
    yield relay, sink
    relay.close()
    sink.close()


@pytest.mark.parametrize('end', FALSE_ENDS, ids=names(FALSE_ENDS))
def test_false_ends_cut_everywhere(module_relay, end):
    """
    Cut into two packets behind every octet, and into one packet per octet, the content goes on to its true end, is refused there,
    and the session is in step.
    """
    relay, sink = module_relay
    content = HEAD + end + EVIL + b'\r\n.\r\n'
    c = begin(relay, None)
    c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    cuts = [[at] for at in range(len(HEAD) - 1, len(HEAD) + len(end) + 2)]
    cuts += [[at] for at in range(len(content) - 5, len(content))] + [[], list(range(len(HEAD), len(HEAD) + len(end) + 6))]
    for i, cut in enumerate(cuts):
        if i:
            c.send(ENVELOPE)
            assert c.reply()[0] == 250 and c.reply()[0] == 250
        assert c.cmd('DATA')[0] == 354
        for a, b in zip([0] + cut, cut + [len(content)]):
            c.send(content[a:b])
            time.sleep(0.002)
        code, text = c.reply()
        assert code == 554 and text.startswith('5.6.0'), (cut, code, text)
        assert c.cmd('NOOP')[0] == 250
    c.close()
    assert not evil(sink)


@pytest.mark.parametrize('end', FALSE_ENDS, ids=names(FALSE_ENDS))
def test_false_ends_with_commands_behind(module_relay, end):
    """Commands pipelined behind the true end are executed, once; those behind the false one never."""
    relay, sink = module_relay
    c = begin(relay)
    c.send(HEAD + end + EVIL + end + b'x\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n')
    codes = [c.reply()[0] for _ in range(5)]
    assert codes == [554, 250, 250, 221, 0], codes
    c.close()
    assert not evil(sink)


def test_data_is_the_last_of_its_group(module_relay):
    """Content that comes with the DATA command, as one who guesses the 354 sends it, ends the session before it is content."""
    relay, sink = module_relay
    c = begin(relay, None)
    c.send(b'DATA\r\n' + HEAD + b'\r\n.\r\n' + EVIL + b'\r\n.\r\n')
    codes = list(itertools.takewhile(bool, (c.reply()[0] for _ in range(50))))
    assert 250 not in codes, codes
    c.close()
    assert not evil(sink)


def test_bdat_edges(module_relay):
    relay, sink = module_relay
    # Sizes that are none: nothing says how much to read away, so the session ends rather than guess.
    for size in (b'', b'-1', b'+5', b'0x5', b'5e1', b'5.0', b'99999999999999999999', b'18446744073709551616', b'4294967301x', b'5 FIRST',
                 b'5 LAST LAST', b'\xd9\xa5', b'5\0', b'5,5', b'5;LAST'):
        c = begin(relay, None)
        c.send(b'BDAT ' + size + b'\r\nQUIT\r\n')
        codes = [c.reply()[0] for _ in range(2)]
        assert 500 <= codes[0] < 600 and 250 not in codes, (size, codes)
        c.close()
    # Octets of a chunk are content and nothing else, also where the chunk is refused.
    hidden = b'\r\n.\r\nRSET\r\n' + EVIL + b'\r\n.\r\n'
    c = begin(relay, None)
    c.send(b'BDAT %d\r\n%sBDAT 0\r\nBDAT 0 LAST\r\n' % (len(HEAD + hidden), HEAD + hidden))
    assert [c.reply()[0] for _ in range(3)] == [250, 250, 250]
    c.send(b'BDAT %d LAST\r\n%sNOOP\r\n' % (len(hidden), hidden))
    assert [c.reply()[0] for _ in range(2)] == [503, 250]
    # DATA within BDAT, MAIL within BDAT, and RSET between chunks
    c.send(ENVELOPE + b'BDAT 3\r\nx\r\n')
    assert [c.reply()[0] for _ in range(3)] == [250] * 3
    assert c.cmd('DATA')[0] == 503
    assert c.cmd('MAIL FROM:<evil@client.example>')[0] == 503
    assert c.cmd('RSET')[0] == 250
    # 00000005 is five; a chunk cut by a CR at its end goes on in the next
    c.send(ENVELOPE + b'BDAT 00000005\r\nx: y\rBDAT 11 LAST\r\n\n\r\n.\r\nnear\n')
    codes = [c.reply()[0] for _ in range(4)]
    assert codes == [250, 250, 250, 554], codes       # the last LF is bare
    c.send(ENVELOPE + b'BDAT 00000005\r\nx: y\rBDAT 12 LAST\r\n\n\r\n.\r\nnear\r\n')
    assert [c.reply()[0] for _ in range(4)] == [250] * 4
    wait_for(lambda: any(m.content.endswith(b'x: y\r\n\r\n.\r\nnear\r\n') for m in sink.messages))
    c.close()
    time.sleep(0.3)
    assert not evil(sink)


# ---- as a client: what goes to the next hop

class RawSink(Sink):
    """Keeps the octets behind DATA as they came, up to the first CRLF.CRLF, and whatever came with it."""

    def take(self, s, f, m, session):
        raw = b'\r\n'
        while not raw.endswith(b'\r\n.\r\n'):
            got = f.read1(1) if not raw.endswith(b'\r\n.\r') else f.read(1)
            if not got:
                raise ConnectionAbortedError
            raw += got
        m.raw = raw[2:]
        return self.finish(s, m, session)


# Where servers that are lenient, each in its way, see the end of content.
SLOPPY = [rb'(?:^|\r\n)\.\r\n', rb'(?:^|\r\n|\n)\.\r?\n', rb'(?:^|[\r\n])\.[\r\n]', rb'(?:^|\r\n|\n)\.\r*\n', rb'(?:^|\n)\.\0*\r?\n',
          rb'(?:^|\n)\.(?:\0[^\n]*)?\r?\n']


def unstuff(raw):
    return re.sub(rb'(?m)(^|(?<=\r\n))\.', b'', raw[:-3])


SHAPES = [HEAD + x + EVIL + b'\r\n' for x in NULS + CLEAN] + [
    HEAD + b'\r\n.\r\n' + EVIL + b'\r\n.\r\n', b'.\r\n', b'.\r\n.\r\n', b'..\r\n', b'\r\n.\r\n', HEAD + b'\r\n.', HEAD + b'\r\n..', HEAD, b'.',
    HEAD + b'\r\n' + b'.' * 4097 + b'\r\n.\r\n' + EVIL, HEAD + b'\r\n.\r\n' * 2000 + EVIL]
# a dot at, before and behind every border of the blocks that are looked at, and of what is written at once
SHAPES += [HEAD + b'x' * (n - len(HEAD)) + b'\r\n.\r\n' + EVIL + b'\r\n'
           for block in (64, 128, 4096, 16384, 32768, 65536) for n in range(block - 5, block + 3)]


def by_bdat(c, content, cuts=()):
    out = ENVELOPE
    edges = [0, *cuts, len(content)]
    for a, b in zip(edges, edges[1:]):
        out += b'BDAT %d%s\r\n' % (b - a, b' LAST' if b == len(content) else b'') + content[a:b]
    c.send(out)
    return [c.reply() for _ in range(2 + len(edges) - 1)]


def test_what_the_next_hop_reads(make_relay):
    """
    Whatever content is taken, by BDAT so that nothing of it was stuffed: a strict reader gets it byte for byte, and readers that
    are lenient find its end where the strict one does.
    """
    sink = RawSink()
    try:
        relay = make_relay(ROUTE % sink.port)
        c = relay.client()
        c.hello()
        for i, content in enumerate(SHAPES):
            content = b'X-Shape: %d\r\n' % i + content
            replies = by_bdat(c, content, [len(content) // 2] if i % 2 else ())
            assert all(code == 250 for code, _ in replies), (i, content[:80], replies)
        wait_for(lambda: len(sink.messages) == len(SHAPES), 30)
        for m in sink.messages:
            i = int(re.search(rb'X-Shape: (\d+)', m.raw).group(1))
            content = unstuff(m.raw)
            whole = b'X-Shape: %d\r\n' % i + SHAPES[i]
            if content.endswith(b'\r\n') and not whole.endswith(b'\r\n'):
                whole += b'\r\n'        # DATA cannot say otherwise
            assert content.endswith(whole), (i, content[-200:], whole[-200:])
            for pattern in SLOPPY:
                first = re.search(pattern, m.raw)
                assert first and first.end() > len(m.raw) - 2, (i, pattern, m.raw[:200])
        assert not evil(sink)
        c.close()
    finally:
        sink.close()


@pytest.mark.parametrize('end', FALSE_ENDS, ids=names(FALSE_ENDS))
def test_binary_is_never_data(module_relay, end):
    """Content with bare line ends is taken as BINARYMIME only; a hop without it gets no DATA with such content, but a notice goes back."""
    relay, sink = module_relay
    before = len(sink.messages)
    c = relay.client()
    c.hello()
    content = HEAD + end + EVIL + b'\r\n.\r\n'
    c.send(b'MAIL FROM:<a@client.example> BODY=BINARYMIME\r\nRCPT TO:<b@dest.example>\r\nBDAT %d LAST\r\n' % len(content) + content)
    assert [c.reply()[0] for _ in range(3)] == [250] * 3
    wait_for(lambda: len(sink.messages) > before)
    m = sink.messages[before]
    assert 'FROM:<>' in m.mail and b'5.6.3' in m.content and content not in m.content
    assert not re.search(rb'[^\r]\n|\r[^\n]', m.content)
    assert not evil(sink)
    c.close()


# ---- through us towards others

def through(relay, sink):
    """Everything that might be smuggled; what we took must arrive behind the peer as one message each, or come back as a notice."""
    taken, seen = 0, set()
    c = relay.client(timeout=60)
    c.hello()
    data = FALSE_ENDS + NULS + CLEAN
    for i, end in enumerate(data):
        c.send(b'MAIL FROM:<a@client.example>\r\nRCPT TO:<d%d@dest.example>\r\nDATA\r\n' % i)
        assert [c.reply()[0] for _ in range(3)] == [250, 250, 354]
        c.send(HEAD + end.replace(b'\r\n..', b'\r\n...') + EVIL + b'\r\n.\r\n')
        if end.startswith(b'\r\n.\r\n'):
            raise AssertionError('no false end')
        code, text = c.reply()
        assert code == (554 if end in FALSE_ENDS else 250), (end, code, text)
        if code == 250:
            seen.add('d%d' % i)
    for i, content in enumerate(SHAPES):
        content = b'X-Shape: %d\r\n' % i + content
        c.send(b'MAIL FROM:<a@client.example>\r\nRCPT TO:<s%d@dest.example>\r\nBDAT %d LAST\r\n' % (i, len(content)) + content)
        assert [c.reply()[0] for _ in range(3)] == [250] * 3
        seen.add('s%d' % i)
    taken = len(seen)
    c.close()

    def arrived():
        got = [re.search(r'<(\w+)@dest', m.rcpt[0]) for m in sink.messages if 'FROM:<>' not in m.mail]
        back = [m for m in sink.messages if 'FROM:<>' in m.mail]
        return len(got) + len(back) >= taken and (got, back)
    try:
        got, back = wait_for(arrived, 60)
    except AssertionError:
        raise AssertionError('%d taken, behind the peer: %s' % (taken, sorted(m.rcpt[0] for m in sink.messages)))
    time.sleep(1)
    assert arrived() == (got, back) or len(arrived()[0]) == len(got)
    boxes = [g.group(1) for g in got]
    assert len(boxes) == len(set(boxes)) and set(boxes) <= seen
    for m in sink.messages:
        assert not re.search(r'evil|victim', m.mail + ''.join(m.rcpt)), (m.mail, m.rcpt)
    return set(boxes), back


def test_through_us_to_postfix(make_relay, make_sink, make_postfix):
    sink = make_sink()
    boxes, back = through(make_relay(ROUTE % make_postfix(sink.port).port), sink)
    assert len(boxes) > 40


@pytest.fixture(params=[peers.Exim, peers.OpenSmtpd])
def make_peer(request):
    made = []

    def make(*a):
        made.append(request.param(*a))
        return made[-1]
    yield make
    for p in made:
        p.close()


def test_through_us_to_others(make_relay, make_sink, make_peer):
    sink = make_sink()
    boxes, back = through(make_relay(ROUTE % make_peer(sink.port).port), sink)
    assert len(boxes) > 40


# ---- injection

INJECTED = [
    b'x@y.example>\r\nRCPT TO:<victim@dest.example', b'x@y.example>\nRCPT TO:<victim@dest.example', b'x@y.example>\rRCPT TO:<victim@dest.example',
    b'"x\r\nRCPT TO:<victim@dest.example>"@y.example', b'"x\nRSET"@y.example', b'"x\rRSET"@y.example', b'"x\\\nRSET"@y.example',
    b'"x\\\r\nRSET"@y.example', b'x\0@y.example', b'"x\0y"@y.example', b'x@y.example\0.evil.example', b'x\x7f@y.example', b'x\x1b[2J@y.example',
    b'x%0d%0aRCPT TO:<victim@dest.example>@y.example', b'"x%0d%0aRSET"@y.example', b'x=0D=0A@y.example', b'x@y.example\t\r\n victim@dest.example',
    b'x@y.example> ORCPT=rfc822;a\r\nRCPT TO:<victim@dest.example', b'x@y.example>,<victim@dest.example', b'x@y.example> <victim@dest.example',
    b'x@y.example victim@dest.example', b'x@y.example,victim@dest.example', b'x@y.example;victim@dest.example', b'"x"victim@dest.example',
    b'"x" "y"@y.example', b'"x@y.example', b'x"@y.example', b'x\\@y.example', b'x@y.example>"', b'x@[127.0.0.1\r\nRSET]', b'x@[IPv6:::1\nRSET]',
    b'x@y.exam\xc2\x85ple', b'x@y\xe2\x80\xa8.example', b'\xe2\x80\xa9x@y.example', b'x@y\xe3\x80\x82example', b'x@\xef\xbc\x99.example\xe5\x98\x8a\xe5\x98\x8dRSET',
    b'\xe5\x98\x8a\xe5\x98\x8dRSET@y.example', b'\xc0\x8ax@y.example', b'\xe0\x80\x8dx@y.example', b'\xf0\x80\x80\x8ax@y.example', b'\xed\xa0\x80x@y.example',
    b'\xff\xfex@y.example', b'x' * 300 + b'@y.example', b'x@' + b'y' * 64 + b'.example', b'x@' + b'y.' * 200 + b'example', b'"' + b'\\"' * 600 + b'"@y.example',
    b'x' * 5000 + b'@y.example', b'', b'@', b'@y.example', b'x@', b'<x@y.example>', b'x@y.example.', b'x@.y.example', b'x@y..example', b'.x@y.example', b'x..y@y.example',
]


@pytest.mark.parametrize('extra', [b'', b' SMTPUTF8'], ids=['ascii', 'utf8'])
def test_command_injection(make_relay, make_sink, extra):
    """
    No address makes a command of its own, neither here nor at the next hop. Those accepted are passed on as they came, in one line.
    """
    sink = make_sink(offers=('PIPELINING', '8BITMIME', 'SMTPUTF8', 'DSN'))
    relay = make_relay(ROUTE % sink.port)
    sent = []
    for address in INJECTED:
        for verb in (b'MAIL', b'RCPT'):
            c = relay.client()
            c.hello()
            if verb == b'MAIL':
                c.send(b'MAIL FROM:<' + address + b'>' + extra + b'\r\n')
            else:
                c.send(b'MAIL FROM:<a@client.example>' + extra + b'\r\n')
                assert c.reply()[0] == 250
                c.send(b'RCPT TO:<' + address + b'>\r\n')
            code, text = c.reply()
            assert '\r' not in text and '\n' not in text, text
            if code == 250 and b'\n' not in address and not (verb == b'MAIL' and address == b''):
                sent.append(address)
                if verb == b'MAIL':
                    assert c.cmd('RCPT TO:<b@dest.example>')[0] == 250
                assert c.data(b'Subject: x\r\n\r\nx\r\n')[0] == 250
            elif b'\n' not in address:
                assert 500 <= code < 600 or verb == b'MAIL' and address == b'', (address, code, text)
            else:
                # the part before the line's end was a whole command; what is behind it can only be a faulty one, or RCPT with
                # its own right: the client said it itself
                assert code in (250, 500, 501, 553, 555), (address, code, text)
            c.close()
    wait_for(lambda: len([m for m in sink.messages if 'FROM:<>' not in m.mail]) >= len(sent), 20)
    allowed = re.compile(r'(EHLO|QUIT|RSET|DATA|MAIL FROM:<|RCPT TO:<)')
    for line in sink.commands:
        assert allowed.match(line) and not re.search(r'[\x00-\x1f\x7f]|victim', line), line
    for m in sink.messages:
        for line in [m.mail] + m.rcpt:
            where = re.fullmatch(r'(?:MAIL FROM|RCPT TO):<((?:[^">]|"(?:[^"\\]|\\.)*")*)>(?: [A-Z0-9]+(?:=\S+)?)*', line)
            assert where, line
            assert where.group(1).encode() in sent + [b'', b'a@client.example', b'b@dest.example'], line


PARAMETERS = [
    ('MAIL', 'ENVID=x+0D+0AEvil:+20y'), ('MAIL', 'ENVID=x+0AEvil:+20y'), ('MAIL', 'ENVID=x+00Evil'), ('MAIL', 'ENVID=x\nEvil: y'),
    ('MAIL', 'ENVID=x+0d+0aEvil:'), ('MAIL', 'ENVID=+'), ('MAIL', 'ENVID=+0'), ('MAIL', 'ENVID=' + 'x' * 101), ('MAIL', 'ENVID=+3Cevil+3E'),
    ('MAIL', 'AUTH=<>'), ('MAIL', 'AUTH=x+0D+0AEvil:+20y@y.example'), ('MAIL', 'AUTH=+0AEvil'), ('MAIL', 'RET=HDRS\nEvil: y'),
    ('MAIL', 'SIZE=1\nEvil: y'), ('MAIL', 'BODY=8BITMIME\rEvil: y'), ('MAIL', 'BODY=7BIT Evil: y'), ('MAIL', 'ENVID=x ENVID=y'),
    ('RCPT', 'ORCPT=rfc822;x+0D+0AEvil:+20y'), ('RCPT', 'ORCPT=rfc822;x+0AEvil:+20y@y.example'), ('RCPT', 'ORCPT=rfc822;x\nEvil: y'),
    ('RCPT', 'ORCPT=x+0D+0AEvil:;y'), ('RCPT', 'ORCPT=rfc822'), ('RCPT', 'ORCPT=;x'), ('RCPT', 'ORCPT=rfc822;'), ('RCPT', 'ORCPT=rfc822;+00'),
    ('RCPT', 'ORCPT=ev il;x'), ('RCPT', 'ORCPT=rfc822;' + 'x' * 600), ('RCPT', 'ORCPT=utf-8;x\\x{D}\\x{A}Evil:y'), ('RCPT', 'NOTIFY=FAILURE\nEvil: y'),
    ('RCPT', 'ORCPT=rfc822;x+20(Evil:+20y)'), ('RCPT', 'ORCPT=rfc822;x+7F+1B[2J'),
]


def fields(content):
    """Names of the fields of the first header, and the lines that are none."""
    head = re.split(rb'\r\n\r\n', content, maxsplit=1)[0]
    return re.findall(rb'(?m)^([^\s:]+):', head), [x for x in head.split(b'\r\n') if not re.match(rb'[!-9;-~]+:|[ \t]', x)]


def test_parameter_injection(make_relay, make_sink):
    """
    Parameters come back in notices and go on to the next hop: none makes a line of its own in either. (The notice is asked for by a
    recipient that is refused.)
    """
    sink = make_sink(lambda at, a, s: '550 5.1.1 no' if at == 'rcpt' and 'bad@' in a else None,
                     offers=('PIPELINING', '8BITMIME', 'DSN', 'SMTPUTF8', 'AUTH PLAIN'))
    relay = make_relay(ROUTE % sink.port)
    taken = 0
    for verb, parameter in PARAMETERS:
        c = relay.client()
        c.hello()
        mail, rcpt = (' ' + parameter, '') if verb == 'MAIL' else ('', ' ' + parameter)
        code, text = c.cmd('MAIL FROM:<a@client.example>' + mail)
        assert '\n' not in text and (code == 250 or 500 <= code < 600), (parameter, code, text)
        if code == 250 and '\n' not in mail:
            code, text = c.cmd('RCPT TO:<bad@dest.example>' + rcpt)
            assert '\n' not in text and (code == 250 or 500 <= code < 600), (parameter, code, text)
            if code == 250 and '\n' not in rcpt:
                assert c.cmd('RCPT TO:<good@dest.example>' + rcpt)[0] == 250
                assert c.data(b'Subject: x\r\n\r\nx\r\n')[0] == 250
                taken += 1
        c.close()
    assert taken >= 3
    wait_for(lambda: len(sink.messages) >= 2 * taken, 20)
    for line in sink.commands:
        assert re.match(r'(EHLO|QUIT|RSET|DATA|MAIL FROM:<|RCPT TO:<)', line) and not re.search(r'[\x00-\x1f\x7f]', line), line
    for m in sink.messages:
        assert not re.search(rb'(?mi)^evil', m.content), m.content
        assert not re.search(rb'[^\r]\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]', m.content), m.content
        assert not fields(m.content)[1], m.content


HELOS = ['x) by evil.example (y', 'x\tby evil', 'x\nEvil: y', 'x\rEvil: y', 'x\0y', 'x;y', '"x"', '(x)', '<x>', '[127.0.0.1] (Evil)', '[127.0.0.1', 'x' * 300,
         'x y', '', ' ', '[IPv6:::1]\x0b', 'b\u00fccher.example', 'x\u2028Evil: y', 'a_b.example', '[192.0.2.1]', 'localhost', 'x.example.', '-', '%0d%0aEvil:']


def test_helo_injection(make_relay, make_sink):
    """The name of HELO stands in Received: one field, one line's worth, and nothing of it looks like another's word."""
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    taken = []
    for verb in ('EHLO', 'HELO'):
        for name in HELOS:
            c = relay.client()
            code, text = c.cmd(verb + ' ' + name)
            assert not re.search(r'(?mi)^evil', text), text
            if code == 250 and '\n' not in name:
                assert c.mail(b'Subject: x\r\n\r\nx\r\n')[0] == 250
                taken.append(name)
            c.close()
    assert taken
    wait_for(lambda: len(sink.messages) >= len(taken), 20)
    for m in sink.messages:
        trace, rest = split_trace(m.content)
        assert set(fields(m.content)[0]) == {b'Received', b'Subject', b'Date', b'Message-ID'} and not fields(m.content)[1], m.content
        assert fields(m.content)[0].count(b'Received') == 1
        flat = re.sub(rb'\r\n[ \t]+', b' ', trace)
        assert len(re.findall(rb' by ', flat)) == 1 and flat.count(b'(') == flat.count(b')'), flat
        assert not re.search(rb'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]', flat), flat


def test_log_injection(make_relay, make_sink):
    """What a client says is data in the log, too: one line per event, no control characters (D8)."""
    sink = make_sink(lambda at, a, s: b'550-5.1.1 no\x1b[2J\x00\r\n550-5.1.1 2026-01-01T00:00:00Z done\r\n550 5.1.1 \xff\xfe\r\n' if at == 'rcpt' else None)
    relay = make_relay(ROUTE % sink.port)
    c = relay.client()
    for line in (b'EHLO x\x1b[31m\0', b'EHLO x', b'MAIL FROM:<a\x1b@b.example>', b'MAIL FROM:<"a done status=\\"sent"@b.example>',
                 b'RCPT TO:<"x\\" accepted id=1"@dest.example>', b'NOOP \x07\x08\x1b]0;evil\x07', b'\xff\xf4\xff\xfd\x06', b'DATA'):
        c.send(line + b'\r\n')
        code, _ = c.reply()
    assert code == 354
    c.send(b'Subject: x\r\n\r\nx\r\n.\r\n')
    assert c.reply()[0] == 250
    c.close()
    relay.wait_event('bounced')
    with open(relay.log, 'rb') as f:
        text = f.read()
    assert not re.search(rb'[\x00-\x08\x0b-\x1f\x7f]', text), text
    text.decode()
    assert len(relay.events('done')) <= 2 and all(re.match(r'\S+ [a-z]', x) for x in text.decode().splitlines())


# ---- relaying

V, O = 'victim@away.example', 'ours.example'        # another's mailbox, and the domain that we take mail for
ATTEMPTS = {
    'plain': '<%s>' % V,
    'percent at ours': '<victim%%away.example@%s>' % O,
    'percent at our name': '<victim%away.example@relay.test.example>',
    'percent at our literal': '<victim%away.example@[127.0.0.1]>',
    'two percents': '<victim%%away.example%%x.example@%s>' % O,
    'percent, quoted': '<"victim%%away.example"@%s>' % O,
    'percent, half quoted': '<"victim%%away.example"%%x.example@%s>' % O,
    'at, quoted, at ours': '<"%s"@%s>' % (V, O),
    'at, escaped': '<"victim\\@away.example"@%s>' % O,
    'at, escaped outside': '<victim\\@away.example@%s>' % O,
    'quoted whole': '<"%s">' % V,
    'quoted whole at our literal': '<"%s"@[127.0.0.1]>' % V,
    'quoted whole at v6': '<"%s"@[IPv6:::1]>' % V,
    'bang at ours': '<away.example!victim@%s>' % O,
    'bang': '<away.example!victim>',
    'bang by ours': '<%s!away.example!victim>' % O,
    'bang, quoted': '<"away.example!victim"@%s>' % O,
    'bang at our literal': '<away.example!victim@[127.0.0.1]>',
    'route by ours': '<@%s:%s>' % (O, V),
    'route by our name': '<@relay.test.example:%s>' % V,
    'route by our literal': '<@[127.0.0.1]:%s>' % V,
    'route of two': '<@%s,@x.example:%s>' % (O, V),
    'route, back to ours and away': '<@%s:@x.example:%s>' % (O, V),
    'route with a percent': '<@x.example:victim%%away.example@%s>' % O,
    'two ats': '<%s@%s>' % (V, O),
    'two ats, other way': '<u@%s@away.example>' % O,
    'nested': '<<%s>@%s>' % (V, O),
    'nested brackets': '<u@%s><%s>' % (O, V),
    'comment': '<victim(@%s)@away.example>' % O,
    'comment behind': '<%s(@%s)>' % (V, O),
    'list': '<u@%s,%s>' % (O, V),
    'list of paths': '<u@%s>,<%s>' % (O, V),
    'semicolon': '<u@%s;%s>' % (O, V),
    'blank': '<u@%s %s>' % (O, V),
    'no brackets': V,
    'no brackets, ours and more': 'u@%s,%s' % (O, V),
    'our literal': '<victim@[127.0.0.1]>',
    'our literal, bare': '<victim@127.0.0.1>',
    'literal as a number': '<victim@[2130706433]>',
    'literal in hex': '<victim@[0x7f000001]>',
    'literal, v6': '<victim@[IPv6:::1]>',
    'literal, mapped': '<victim@[IPv6:::ffff:127.0.0.1]>',
    'number sign': '<victim@#2130706433>',
    'suffix': '<victim@away-%s>' % O,
    'suffix without a dot': '<victim@away%s>' % O,
    'below': '<victim@away.%s>' % O,
    'ours as a label': '<victim@%s.away.example>' % O,
    'cut': '<victim@%s>' % O[:-1],
    'top level': '<victim@example>',
    'leading dot': '<victim@.%s>' % O,
    'two dots': '<victim@ours..example>',
    'trailing dot, away': '<%s.>' % V,
    'mixed case, away': '<Victim@AWAY.Example>',
    'nul before ours': '<victim@away.example\0@%s>' % O,
    'nul behind ours': '<victim@%s\0.away.example>' % O,
    'tab': '<victim@away.example\t@%s>' % O,
    'cr': '<victim@away.example\r@%s>' % O,
    'backspace': '<victim@away.example\x08\x08@%s>' % O,
    'delete': '<victim@away.example\x7f@%s>' % O,
    'look-alike o': '<victim@\u043eurs.example>',
    'look-alike dot': '<victim@ours\u3002example>',
    'full width': '<victim@\uff4f\uff55\uff52\uff53.example>',
    'soft hyphen': '<victim@ours\u00ad.example>',
    'zero width': '<victim@ours\u200b.example>',
    'punycode of it': '<victim@xn--urs-znd.example>',
    'long s': '<victim@our\u017f.example>',
    'only a local part': '<victim>',
    'only ours': '<@%s>' % O,
    'postmaster away': '<postmaster@away.example>',
    'postmaster with a percent': '<postmaster%away.example>',
    'postmaster with a bang': '<away.example!postmaster>',
    'postmaster, quoted, and more': '<"postmaster"%away.example>',
    'postmaster and a space': '<postmaster %s>' % V,
    'postmaster with an at': '<postmaster@>',
    'postmaster by route': '<@%s:postmaster@away.example>' % O,
    'abuse': '<abuse>',
    'null': '<>',
}
STRANGE_SENDERS = ['', 'u@ours.example', 'u@relay.test.example', 'u@[127.0.0.1]', 'u@localhost', 'postmaster@ours.example']


def test_relay_attempts(make_relay, make_sink):
    """Each form, for each kind of sender, with and without SMTPUTF8: refused at RCPT, and nothing goes to anybody."""
    sink = make_sink()
    relay = make_relay('postmaster u@ours.example via next\nroute next {\n\thost 127.0.0.1:%d\n}\naccept from any to domain ours.example via next\n' % sink.port)
    accepted = []
    for sender in ['a@client.example'] + STRANGE_SENDERS:
        for extra in ('', ' SMTPUTF8'):
            for name, path in ATTEMPTS.items():
                if (sender or extra) and sender in STRANGE_SENDERS and len(path) % 3:
                    continue        # a third of them is enough for the other senders
                c = relay.client()
                c.hello()
                assert c.cmd('MAIL FROM:<%s>%s' % (sender, extra))[0] == 250
                code, text = c.cmd('RCPT TO:' + path)
                if not 500 <= code < 600:
                    accepted.append((name, sender, extra, code, text))
                assert c.cmd('DATA')[0] in (503, 554) or code == 250, name
                c.close()
    assert not accepted, '\n'.join(map(repr, accepted))
    assert not sink.commands
    # and it is no wall: these are ours
    c = relay.client()
    c.hello()
    assert c.cmd('MAIL FROM:<a@client.example>')[0] == 250
    for path in ('<u@ours.example>', '<u@OURS.Example>', '<"u x"@ours.example>', '<postmaster>', '<PostMaster@ours.example>', '<u+x=y.example@ours.example>',
                 '<@x.example:v@ours.example>'):
        assert c.cmd('RCPT TO:' + path)[0] == 250, path
    c.close()


def test_nmap_open_relay(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay('postmaster u@ours.example via next\nroute next {\n\thost 127.0.0.1:%d\n}\naccept from any to domain ours.example via next\n' % sink.port)
    script = 'smtp-open-relay.domain=relay.test.example,smtp-open-relay.ip=127.0.0.1,smtp-open-relay.from=a@client.example,smtp-open-relay.to=victim@away.example'
    r = subprocess.run(['nmap', '-Pn', '-n', '-p', str(relay.port), '--script', '+smtp-open-relay', '--script-args', script, '127.0.0.1'],
                       capture_output=True, text=True, timeout=120)
    assert 'smtp-open-relay' in r.stdout and "doesn't seem to be an open relay" in r.stdout, r.stdout + r.stderr
    assert not sink.commands


# ---- STARTTLS towards a server that injects

@pytest.mark.parametrize('tls', ['offered', 'required'])
@pytest.mark.parametrize('behind', [b'250 2.0.0 injected\r\n', b'250-x\r\n250 AUTH PLAIN\r\n', b'2'])
def test_starttls_injection_by_the_server(make_relay, make_sink, tls, behind):
    """Octets in clear text behind the 220 to STARTTLS are never taken for replies within TLS: the connection ends, and mail waits."""
    sink = make_sink(lambda at, a, s: b'220 2.0.0 go\r\n' + behind if at == 'other' and a.upper() == 'STARTTLS' else None,
                     offers=('PIPELINING', '8BITMIME', 'STARTTLS'))
    relay = make_relay('route next {\n\thost 127.0.0.1:%d\n\ttls %s\n}\naccept from local to any via next\n' % (sink.port, tls))
    c = relay.client()
    c.hello()
    assert c.mail(b'Subject: x\r\n\r\nx\r\n')[0] == 250
    c.close()
    why = relay.wait_event('destination-rests')[0]['why']
    assert 'plain text' in why, why
    at = next(i for i, x in enumerate(sink.commands) if x.upper() == 'STARTTLS')
    assert not [x for x in sink.commands[at + 1:] if x.isprintable() and not x.upper().startswith(('EHLO', 'STARTTLS', 'QUIT'))]
    assert not sink.messages
