"""relevo spool check and dump, backup, restore; and what a relay does about bit rot and unknown versions."""
import glob, json, os, re, shutil, signal, subprocess, threading, time

import pytest

from relevo import BINARY, PATIENCE, ROUTE, Sink, free_port, wait_for

LARGE = 400 * 1024      # a body over 256 KiB has a file of its own


def send(relay, n=3, size=2000, to='b%d@dest.example', first=0):
    """n messages, each with its own marks; their ids."""
    c = relay.client()
    c.hello()
    ids = []
    for i in range(first, first + n):
        line = b'<<%04d>> ' % i + b'x' * 60 + b'\r\n'
        code, text = c.mail(b'Subject: n%d\r\n\r\n' % i + line * max(1, size // len(line)), to=(to % i,))
        assert code == 250, text
        ids.append(re.search(r'([0-9A-Z]{7}-[0-9A-Z]+-[0-9A-Z]+)', text).group(1))
    c.close()
    return ids


def waiting(make_relay, n=3, size=2000, extra=''):
    """A relay with n messages for a hop that is down; (relay, port of the hop, ids)."""
    port = free_port()
    relay = make_relay('queue {\n\tretry 1h\n}\n' + extra + ROUTE % port)
    ids = send(relay, n, size)
    relay.wait_event('destination-rests')
    return relay, port, ids


def spool(relay, *words, check=True):
    """relevo spool WORDS -c"""
    r = subprocess.run([BINARY, 'spool', words[0], '-c', relay.conf, *words[1:]], capture_output=True, text=True, timeout=60 * PATIENCE)
    if check:
        assert r.returncode == 0, (r.stdout, r.stderr)
    return r


def segments(relay):
    return sorted(glob.glob(relay.state + '/spool/segments/*.log'))


def contents(relay):
    return sorted(glob.glob(relay.state + '/spool/content/*'))


def flip(path, mark, mask=0x40):
    """Flips a bit of the first octet of mark."""
    with open(path, 'r+b') as f:
        at = f.read().index(mark)
        f.seek(at)
        octet = f.read(1)[0]
        f.seek(at)
        f.write(bytes([octet ^ mask]))


def holding(relay, mark):
    return next(p for p in segments(relay) if mark in open(p, 'rb').read())


def test_check_and_dump(make_relay):
    relay, _, ids = waiting(make_relay)
    large = send(relay, 1, LARGE, first=7)
    for state in 'running', 'stopped':
        text = spool(relay, 'check').stdout
        assert 'Sound.' in text and '4 open messages' in text and '1 content files' in text
        assert ('in use by a relay' in text) == (state == 'running')
        rows = json.loads(spool(relay, 'dump', '--json').stdout)
        assert sum(r['messages'] for r in rows) == 4
        records = json.loads(spool(relay, 'dump', '--message', ids[1], '--json').stdout)
        assert records[0]['type'] == 'MESSAGE' and records[0]['id'] == ids[1]
        assert records[0]['recipients'][0]['to'] == 'b1@dest.example' and records[0]['sender'] == 'a@client.example'
        assert 'file' in json.loads(spool(relay, 'dump', '--message', large[0], '--json').stdout)[0]
        number = os.path.basename(holding(relay, b'<<0001>>'))
        text = spool(relay, 'dump', '--segment', number).stdout
        assert all(i in text for i in ids) and 'COMMIT' in text and 'b1@dest.example' in text
        if state == 'running':
            relay.stop()
    assert spool(relay, 'dump', '--message', '0000000-1-1', check=False).returncode == 1
    assert spool(relay, 'dump', '--message', 'nonsense!', check=False).returncode == 2
    assert spool(relay, 'scrub', check=False).returncode == 2


def test_check_under_load(make_relay):
    """A relay at work is never called damaged."""
    sink = Sink()
    relay = make_relay(ROUTE % sink.port)
    stop = threading.Event()

    def load():
        i = 0
        while not stop.is_set():
            send(relay, 20, 4000 if i % 4 else LARGE, first=i * 20)
            i += 1
    t = threading.Thread(target=load)
    t.start()
    try:
        for _ in range(15):
            assert 'Sound.' in spool(relay, 'check').stdout
    finally:
        stop.set()
        t.join()
        sink.close()


def test_check_finds_damage(make_relay):
    relay, _, ids = waiting(make_relay)
    large = send(relay, 2, LARGE, first=7)
    relay.stop()
    path = holding(relay, b'<<0001>>')
    flip(path, b'<<0001>>')
    r = spool(relay, 'check', check=False)
    assert r.returncode == 1 and 'DAMAGED: 1 place.' in r.stdout and ids[1] in r.stdout
    flip(path, b'b2@dest.example')
    r = spool(relay, 'check', check=False)
    assert r.returncode == 1 and 'DAMAGED: 2 places.' in r.stdout and 'are no record' in r.stdout
    flip(contents(relay)[0], b'xxxx')
    os.unlink(contents(relay)[1])
    r = spool(relay, 'check', check=False)
    assert 'DAMAGED: 4 places.' in r.stdout and all(i in r.stdout for i in large)
    assert ': damaged\n' in r.stdout and ': missing\n' in r.stdout


def bounced(relay, id):
    return [e for e in relay.events('bounced') if e['id'] == id]


def test_bit_rot_in_a_segment(make_relay):
    """Only the message that was hit is affected: its sender is told, its octets are kept, the others are delivered."""
    relay, port, ids = waiting(make_relay)
    relay.stop()
    flip(holding(relay, b'<<0001>>'), b'<<0001>>')
    sink = Sink(port=port)
    try:
        relay.start()
        wait_for(lambda: len(sink.messages) == 3)
        wait_for(lambda: len(bounced(relay, ids[1])) == 1)
        about = [m for m in sink.messages if 'FROM:<>' in m.mail]
        plain = [m for m in sink.messages if m not in about]
        assert sorted(m.rcpt[0].split('<')[1].split('>')[0] for m in plain) == ['b0@dest.example', 'b2@dest.example']
        assert len(about) == 1 and 'a@client.example' in about[0].rcpt[0]
        notice = about[0].content
        assert b'damaged' in notice and b'b1@dest.example' in notice and ids[1].encode() in notice and b'5.3.0' in notice
        assert b'<<0001' not in notice
        wait_for(lambda: json.loads(relay.command('queue', 'list', '--json').stdout) == [])
        damage = relay.wait_event('spool-damage', 2)
        assert any(ids[1] in e['text'] for e in damage) and not any(ids[0] in e['text'] for e in damage)
        kept = glob.glob(relay.state + '/spool/quarantine/*.bin')
        assert len(kept) == 1 and b'b1@dest.example' in open(kept[0], 'rb').read()
    finally:
        sink.close()


def test_bit_rot_in_a_content_file(make_relay):
    relay, port, _ = waiting(make_relay, n=1)
    large = send(relay, 2, LARGE, first=7)
    relay.stop()
    mine = json.loads(spool(relay, 'dump', '--message', large[0], '--json').stdout)[0]['file']
    flip(relay.state + '/spool/content/' + mine, b'xxxxx')
    sink = Sink(port=port)
    try:
        relay.start()
        wait_for(lambda: len(sink.messages) == 3, 20)
        notice = next(m.content for m in sink.messages if 'FROM:<>' in m.mail)
        assert b'damaged' in notice and b'Subject: n7' in notice    # its header section could still be read
        assert sorted(m.content.count(b'<<0008>>') > 0 for m in sink.messages) == [False, False, True]
        assert b''.join(m.content for m in sink.messages if 'FROM:<>' not in m.mail).count(b'<<0007>>') == 0
        assert os.path.exists(relay.state + '/spool/quarantine/' + mine)
        wait_for(lambda: json.loads(relay.command('queue', 'list', '--json').stdout) == [])
    finally:
        sink.close()


@pytest.mark.parametrize('size', [2000, LARGE])
def test_damage_met_by_a_command(make_relay, size):
    """Its destination is down, maybe for days: the sender is told at once all the same, and only once."""
    relay, _, ids = waiting(make_relay, size=size)
    relay.stop()
    if size < LARGE:
        flip(holding(relay, b'<<0001>>'), b'<<0001>>')
    else:
        name = json.loads(spool(relay, 'dump', '--message', ids[1], '--json').stdout)[0]['file']
        os.unlink(relay.state + '/spool/content/' + name)
    relay.start()
    for _ in range(3):
        relay.command('queue', 'show', ids[1], check=False)
    wait_for(lambda: bounced(relay, ids[1]))
    time.sleep(0.3)
    assert len(bounced(relay, ids[1])) == 1 and len(relay.events('notice')) == 1
    left = [r['id'] for r in json.loads(relay.command('queue', 'list', '--json').stdout)]
    assert ids[0] in left and ids[2] in left and ids[1] not in left and len(left) == 3


def test_bit_rot_in_an_envelope(make_relay):
    """The envelope is gone, so nobody can be told; it is reported, kept, and costs only itself."""
    relay, port, ids = waiting(make_relay)
    relay.stop()
    flip(holding(relay, b'<<0001>>'), b'b1@dest.example')
    relay.start()
    listed = [r['id'] for r in json.loads(relay.command('queue', 'list', '--json').stdout)]
    assert sorted(listed) == sorted([ids[0], ids[2]])
    assert any(ids[1] in e['text'] for e in relay.wait_event('spool-damage'))
    assert glob.glob(relay.state + '/spool/quarantine/*.bin')


@pytest.mark.parametrize('what', ['spool', 'segment'])
def test_unknown_version(make_relay, what):
    relay, _, _ = waiting(make_relay, n=1)
    relay.stop()
    if what == 'spool':
        with open(relay.state + '/spool/spool', 'r+') as f:
            text = f.read().replace('relevo spool 1', 'relevo spool 9')
            f.seek(0)
            f.write(text)
    else:
        with open(segments(relay)[0], 'r+b') as f:
            header = bytearray(f.read(68))
            header[8] = 9
            header[64:68] = crc32c(bytes(header[:64])).to_bytes(4, 'little')
            f.seek(0)
            f.write(header)
    r = spool(relay, 'check', check=False)
    assert r.returncode == 1 and 'format version 9' in r.stderr and 'knows only version 1' in r.stderr
    relay.start(wait=False)
    assert relay.p.wait(20 * PATIENCE) != 0
    assert 'format version 9' in relay.text() and 'knows only version 1' in relay.text()


def crc32c(data):
    crc = 0xffffffff
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


# ---- backup and restore

def backup(relay, target, check=True):
    return relay.command('backup', target, check=check, timeout=60)


def listed(relay):
    return json.loads(relay.command('queue', 'list', '--json').stdout)


@pytest.mark.parametrize('running', [True, False])
def test_backup_and_restore(make_relay, running):
    relay, port, ids = waiting(make_relay)
    ids += send(relay, 1, LARGE, first=3)
    target = relay.folder + '/backup'
    if not running:
        relay.stop()
    assert '4 messages' in backup(relay, target).stdout
    assert backup(relay, target, check=False).returncode == 1       # not empty
    if running:
        later = send(relay, 1, first=9)
        relay.stop()
    r = relay.command('restore', target, check=False)
    assert r.returncode == 1 and 'not empty' in r.stderr
    shutil.rmtree(relay.state + '/spool')
    assert '4 messages are held' in relay.command('restore', target).stdout
    sink = Sink(port=port)
    try:
        relay.start()
        rows = listed(relay)
        assert sorted(r['id'] for r in rows) == sorted(ids) and all(r['hold'] == 'restored' for r in rows)
        assert 'restored from a backup' in relay.command('queue', 'show', ids[0]).stdout
        new = send(relay, 1, first=11)
        assert new[0] not in ids and (not running or new[0] not in later)
        wait_for(lambda: len(sink.messages) == 1)
        time.sleep(0.5)
        assert len(sink.messages) == 1
        relay.command('queue', 'release', 'all')
        wait_for(lambda: len(sink.messages) == 5)
        marks = sorted(re.search(rb'<<(\d+)>>', m.content).group(1) for m in sink.messages)
        assert marks == [b'0000', b'0001', b'0002', b'0003', b'0011']
        wait_for(lambda: not listed(relay))
    finally:
        sink.close()


def test_restore_knows_the_old_spool(make_relay):
    """What the old log says is final is not delivered again; an incarnation is never used twice."""
    relay, port, ids = waiting(make_relay)
    target, old = relay.folder + '/backup', relay.folder + '/old'
    backup(relay, target)
    relay.command('queue', 'hold', ids[1], ids[2])
    sink = Sink(port=port)
    try:
        relay.command('queue', 'retry', ids[0])
        wait_for(lambda: len(sink.messages) == 1)
        sent = {re.search(rb'<<(\d+)>>', m.content).group(1) for m in sink.messages}
        left = [i for n, i in enumerate(ids) if b'%04d' % n not in sent]
        wait_for(lambda: len(listed(relay)) == len(left))
        relay.stop()
        os.rename(relay.state + '/spool', old)
        r = relay.command('restore', '--old', old, '--redeliver', target)
        assert 'recipients are final' in r.stdout
        n = len(sink.messages)
        relay.start()
        wait_for(lambda: len(sink.messages) == n + len(left))
        time.sleep(0.5)
        assert len(sink.messages) == n + len(left)
        assert sorted(m.content.split(b'<<')[1][:4] for m in sink.messages) == [b'0000', b'0001', b'0002']
    finally:
        sink.close()


def test_reroute_is_kept(make_relay):
    """Another route and the tag: over kill -9, in the dump, and from the old log over a backup's."""
    sink = Sink()
    port = free_port()
    relay = make_relay('queue {\n\tretry 1h\n}\nroute other {\n\thost 127.0.0.1:%d\n}\n' % sink.port +
                       'route next {\n\thost 127.0.0.1:%d\n}\n' % port +
                       'accept from local to any via next {\n\ttag news\n}\n')
    target, old = relay.folder + '/backup', relay.folder + '/old'

    def routes():
        """As the log has them, the newest of each message."""
        found = {}
        for path in segments(relay):
            for r in json.loads(spool(relay, 'dump', '--segment', os.path.basename(path), '--json').stdout):
                for x in r.get('recipients', []) + r.get('reroutes', []):
                    found[r['id']] = x['route']
        return found

    try:
        ids = send(relay, 2)
        relay.wait_event('destination-rests')
        assert relay.wait_event('received')[0]['tag'] == 'news'
        assert json.loads(spool(relay, 'dump', '--message', ids[0], '--json').stdout)[0]['tag'] == 'news'
        backup(relay, target)
        relay.command('queue', 'hold', *ids)
        relay.command('queue', 'reroute', ids[0], 'via', 'other')
        relay.kill()
        relay.start()
        assert routes() == {ids[0]: 'other', ids[1]: 'next'}
        relay.stop()
        os.rename(relay.state + '/spool', old)
        assert '1 recipients go by another route' in relay.command('restore', '--old', old, target).stdout
        assert routes() == {ids[0]: 'other', ids[1]: 'next'}
        relay.start()
        relay.command('queue', 'release', 'all')
        wait_for(lambda: len(sink.messages) == 1)
        assert b'<<0000>>' in sink.messages[0].content
    finally:
        sink.close()


def test_backup_under_load(make_relay):
    """Sound at any moment, and whatever was acknowledged before it began and not delivered is in it."""
    sink = Sink()
    relay, port, ids = waiting(make_relay, n=5)
    stop, sent = threading.Event(), []

    def load():
        i = 0
        while not stop.is_set():
            sent.extend(send(relay, 10, LARGE if i % 5 == 0 else 3000, first=100 + i * 10))
            relay.command('queue', 'delete', *sent[-4:])
            i += 1
    t = threading.Thread(target=load)
    t.start()
    try:
        for n in range(5):
            before = list(sent)
            target = '%s/backup%d' % (relay.folder, n)
            backup(relay, target)
            r = subprocess.run([BINARY, 'spool', 'dump', '--state', relay.folder + '/as%d' % n, '--json'], capture_output=True, text=True) \
                if not os.symlink(target, in_state(relay, n)) else None
            assert r.returncode == 0, r.stderr
            check = subprocess.run([BINARY, 'spool', 'check', '--state', relay.folder + '/as%d' % n], capture_output=True, text=True)
            assert check.returncode == 0 and 'Sound.' in check.stdout, check.stdout
            text = open(os.path.join(target, 'backup')).read()
            assert int(re.search(r'messages (\d+)', text).group(1)) >= 5 + len(before) * 6 // 10
    finally:
        stop.set()
        t.join()
        sink.close()
    relay.stop()
    shutil.rmtree(relay.state + '/spool')
    relay.command('restore', relay.folder + '/backup4')
    relay.start()
    assert all(i in [r['id'] for r in listed(relay)] for i in ids)


def in_state(relay, n):
    os.mkdir(relay.folder + '/as%d' % n)
    return relay.folder + '/as%d/spool' % n


def test_incomplete_backup(make_relay):
    relay, _, _ = waiting(make_relay, n=1)
    target = relay.folder + '/backup'
    backup(relay, target)
    os.unlink(target + '/backup')
    relay.stop()
    shutil.rmtree(relay.state + '/spool')
    r = relay.command('restore', target, check=False)
    assert r.returncode == 1 and 'no complete backup' in r.stderr
    assert not os.path.exists(relay.state + '/spool')


def test_restore_beside_a_running_relay(make_relay):
    relay, _, _ = waiting(make_relay, n=1)
    target = relay.folder + '/backup'
    backup(relay, target)
    r = relay.command('restore', target, check=False)
    assert r.returncode == 1 and 'a relay runs' in r.stderr
