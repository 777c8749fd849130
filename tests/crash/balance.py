"""The balance: what was acknowledged on one side, what arrived or came back on the other.

A unit is a message and one of its recipients. Each unit that was acknowledged must have been taken by the sink at least
once, unchanged, or stand in a notice as failed. What the sink took twice is counted in transactions, because a
delivery slot is busy with one transaction: that is what may be in flight when a relay dies.
"""
import collections, email, re


def ledger_lines(path):
    """(id, recipients, size, crc) of each line; a line that was cut short is an error of the test."""
    with open(path) as f:
        for line in f:
            id, sender, recipients, size, crc = line.split()
            yield id, recipients.split(','), int(size), crc


class Balance:
    def __init__(self):
        self.promised = {}                              # id -> (recipients, size, crc)
        self.taken = collections.Counter()              # (id, recipient) -> how often
        self.failed = collections.Counter()             # (id, recipient) -> notices
        self.different = self.again = self.transactions = self.strangers = 0

    def promise(self, paths):
        for path in paths:
            for id, recipients, size, crc in ledger_lines(path):
                assert id not in self.promised, id
                self.promised[id] = (recipients, size, crc)

    def arrive(self, paths):
        """Call after promise: a message is compared with what was promised."""
        for path in paths:
            for id, recipients, size, crc in ledger_lines(path):
                self.transactions += 1
                if id not in self.promised:
                    self.strangers += 1
                elif self.promised[id][1:] != (size, crc):
                    self.different += 1
                if any((id, r) in self.taken for r in recipients):
                    self.again += 1
                for r in recipients:
                    self.taken[id, r] += 1

    def notice(self, content):
        """One notice, as it arrived: the units that it reports as failed."""
        m = email.message_from_bytes(content)
        if m.get_content_type() != 'multipart/report':
            return False
        parts = m.get_payload()
        id = re.search(r'^X-Relevo-Load: (\S+)', parts[2].as_string(), re.M)
        for block in parts[1].get_payload():
            if (block.get('Action') or '').strip() == 'failed':
                self.failed[id.group(1), block['Final-Recipient'].split(';')[1].strip()] += 1
        return True

    def lost(self):
        return [(id, r) for id, (recipients, _, _) in self.promised.items() for r in recipients
                if (id, r) not in self.taken and (id, r) not in self.failed]

    def only_failed(self):
        return sum(1 for unit in self.failed if unit not in self.taken and unit[0] in self.promised)
