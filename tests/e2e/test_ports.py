"""The tests' own ports: who runs tests beside others must not meet them."""
import json, os, subprocess, sys

import relevo

HERE = os.path.dirname(os.path.abspath(relevo.__file__))
KEEP = 'import sys, relevo; print([relevo.free_port() for _ in range(20)], flush=True); sys.stdin.read()'


def test_a_port_is_kept_from_other_processes():
    """Runs that know nothing of each other: what one keeps free is given to no other while it lives."""
    runs = [subprocess.Popen([sys.executable, '-c', KEEP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE)
            for _ in range(3)]
    try:
        ports = [json.loads(p.stdout.readline()) for p in runs] + [[relevo.free_port()]]
    finally:
        for p in runs:
            p.communicate()
    assert len({port for kept in ports for port in kept}) == 61, ports
