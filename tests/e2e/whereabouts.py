"""Where mail is that was acknowledged and did not arrive: what the log, the queue and the spool say of each message.

For the words of a failing test. A message may be: gone from the spool without a final state (D3 is broken), in the spool with no
time for its next attempt and no hold (D9), on its way, only late, or given to somebody who is not the test's sink (the log names the
host). Asks a running relay as well as a dead one.
"""
import json, os

SHOWN = 12
EACH = 'received', 'relayed', 'done', 'deferred', 'connected', 'disconnected'      # a line for each message


def asked(relay, *words):
    """What a command prints, or why it does not."""
    try:
        r = relay.command(*words, check=False, timeout=15)
        return (r.stdout + r.stderr).strip() or '(exit code %d, no word)' % r.returncode
    except Exception as e:      # a relay that hangs is a finding, too
        return repr(e)


def of_log(relay, ids):
    """id: the log's lines about it."""
    found = {i: [] for i in ids}
    for line in relay.text().splitlines():
        for word in line.split(' '):
            if word.startswith('id=') and word[3:] in found:
                found[word[3:]].append(line)
    return found


def records(relay, message_id):
    """What the spool's log says of a message: [type, at which octet of which segment]; a text if it cannot be read."""
    text = asked(relay, 'spool', 'dump', '--message', message_id, '--json')
    try:
        return ['%s at %s of %s' % (r['type'], r['octet'], r['segment']) for r in json.loads(text)]
    except (ValueError, KeyError):
        return text


def verdict(lines, queue, found):
    """What a missing message tells by itself."""
    last = [line.split(' ')[1] for line in lines if line.split(' ')[1:2]]
    if 'relayed' in last or 'delivered' in last:
        return 'given to another host than the one looked at, see the log'
    if 'bounced' in last or 'deleted' in last:
        return 'final: the log says why'
    if '"state":"queued"' in queue:
        return 'in the queue: late, or stuck if "next" is missing or past (D9)'
    if not found or isinstance(found, str):
        return 'LOST: not in the queue, not in the spool, and no word of an end (D3)'
    return 'not in the queue, though the spool knows it: look at its records (D3, D9)'


def whereabouts(relay, missing, tail=40):
    """missing: {what the test calls it: the id that the 250 told}. A text of many lines."""
    alive = relay.p and relay.p.poll() is None
    out = ['%d missing; relay %s, worker %s' % ((len(missing),) + (('runs', relay.worker()) if alive else ('ended', None)))]
    shown = sorted(missing.items())[:SHOWN]
    queues = {i: asked(relay, 'queue', 'show', i, '--json') if alive else '' for _, i in shown}
    spool = {i: records(relay, i) for _, i in shown}
    lines = of_log(relay, missing.values())     # last: an end that comes meanwhile is seen
    for name, i in shown:
        queue, found = queues[i], spool[i]
        out += ['-- %s, id %s: %s' % (name, i, verdict(lines[i], queue, found)), 'log:']
        out += lines[i] or ['(nothing)']
        out += ['queue: ' + queue, 'spool: %s' % (found,)]
    for words in (('queue', 'status'), ('queue', 'count', 'by', 'destination'), ('queue', 'list'))[:3 if alive else 0]:
        out += ['-- relevo ' + ' '.join(words)] + asked(relay, *words).splitlines()[:tail]
    out += ['-- relevo spool check', asked(relay, 'spool', 'check'), '-- relevo spool dump', asked(relay, 'spool', 'dump')]
    folder = os.path.join(relay.state, 'spool', 'quarantine')
    out += ['-- quarantine: %s' % (os.listdir(folder) if os.path.isdir(folder) else 'none')]
    out += ['-- the log, but for single messages']
    out += [line for line in relay.text().splitlines()
            if line.split(' ')[1:2] and line.split(' ')[1] not in EACH][-tail:]
    return '\n'.join(out)
