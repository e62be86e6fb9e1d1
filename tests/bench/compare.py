"""Runs gradus-bench beside PyTorch and prints one table: ours, the peer's, and the ratio.

  compare.py [--rounds N] [--slice SECONDS] [--wall] [--memory] [--threads N [--alone] [--busy] [--steady]] [--against=OLD=NEW]
             BUILD-FOLDER [CASE or PATTERN...]

All sides stay alive and are asked in turn for one timed slice: O P Q R R Q P O, where O is ours, P the peer as it comes, Q and
R the peer told which instructions to use (PEERS). A round gives one ratio; the table has their median and quartiles over all
rounds. Of P, Q and R the one with the least median ratio counts. Times are those of the processor that the process used (both
sides have one thread), which other programs on the machine disturb less; --wall takes those of the clock.

--threads N gives N threads to ours, and N or one to the peer: its best setting counts. Times are those of the clock then.
--alone: the peer is ours with one thread. --busy: another program keeps the last processor busy meanwhile. --steady: a round
before or after which the machine, a virtual one as a rule, had fewer than 0.95 N processors to give (processors.c) does not count;
the table says how many such rounds there were. Else none is dropped.

--against=OLD=NEW: the peer is ours as well, at the case whose name has NEW where this one has OLD: with -fused= beside
loss-fused/1000000 stands loss/1000000, and the ratio is what composing costs; with -forward=-gradients beside c-forward c-gradients.
SPDX-License-Identifier: MIT"""
import argparse
import fnmatch
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Left to itself PyTorch may stay with AVX2, and its OpenBLAS with SSE3 on a processor that is younger than it.
PEERS = {"as it comes": {},
         "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell"},
         "AVX-512": {"ATEN_CPU_CAPABILITY": "avx512", "OPENBLAS_CORETYPE": "SkylakeX"}}
# Threads that wait for the next loop may sleep or spin.
WAITS = {"": {}, ", spinning": {"OMP_WAIT_POLICY": "active"}}
UNITS = [(1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1, "s")]


class Side:
    """A child that answers "NAME SECONDS" with the time of one unit; None where it does not have the case. It may know cases by other names:
    rename has what to replace by what."""

    def __init__(self, command, rename=("", ""), **env):
        self.rename = rename
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | env)

    def slice(self, name, span, clock):
        print(name.replace(*self.rename, 1), span, file=self.child.stdin, flush=True)
        answer = self.child.stdout.readline().split()
        if not answer:
            sys.exit(f"{self.child.args[0]} ended at {name}")
        return None if answer == ["none"] else float(answer[clock])

    def memory(self):
        print("memory 0", file=self.child.stdin, flush=True)
        return int(self.child.stdout.readline())

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def peers_of(script, threads):
    """The peer's settings by name, with the command and environment of each."""
    for words, env in PEERS.items():
        if words == "AVX-512" and "avx512f" not in instruction_sets():
            continue
        yield words, script, env
        for wait, more in WAITS.items() if threads > 1 else ():
            number = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
            yield f"{words}, {threads} threads{wait}", script, env | number | more


def python_with_torch():
    for python in (sys.executable, "/usr/bin/python3", "python3"):
        try:
            probe = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
        except OSError:
            continue
        if probe.returncode == 0:
            return python, probe.stdout.strip()
    return None, None


def instruction_sets():
    return pathlib.Path("/proc/cpuinfo").read_text().split("\nflags", 1)[-1].split("\n", 1)[0].split()


def machine():
    info = dict(line.split(":", 1) for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    info = {key.strip(): value.strip() for key, value in info.items()}
    sets = [s for s in ("avx2", "fma", "avx512f") if s in instruction_sets()]
    load = pathlib.Path("/proc/loadavg").read_text().split()[0]
    return (f"{info.get('model name', 'unknown processor')}, family {info.get('cpu family')} model {info.get('model')}, "
            f"{os.cpu_count()} cores, {info.get('cache size')} cache, {' '.join(sets)}; load average {load}")


def quartiles(x):
    return statistics.quantiles(x, n=4, method="inclusive") if len(x) > 1 else x * 3


def shown(seconds):
    scale, unit = next(u for u in UNITS if seconds < 1000 * u[0] or u[1] == "s")
    digits = max(0, 2 - len(str(int(seconds / scale))) + 1) if seconds >= scale else 3
    return f"{seconds / scale:.{digits}f} {unit}"


def compare(name, ours, peers, rounds, span, clock, steady):
    """Our times, and of the fastest peer its name, its times and the ratios: lists with an entry for each round. And how many rounds did
    not count, since the machine was not steady before or after: at most three for each that does."""
    named = [(words, p) for words, p in peers if p.slice(name, span, clock) is not None]
    peers = [p for _, p in named]
    ours.slice(name, span, clock)
    mine, theirs, dropped = [], [[] for _ in peers], 0
    after = steady()
    while len(mine) < rounds and dropped < 3 * rounds:
        there = [side.slice(name, span, clock) for side in [ours, *peers]]
        back = [side.slice(name, span, clock) for side in [*reversed(peers), ours]]
        before, after = after, steady()
        if not (before and after):
            dropped += 1
            continue
        times = [(x + y) / 2 for x, y in zip(there, reversed(back))]
        mine.append(times[0])
        for column, t in zip(theirs, times[1:]):
            column.append(t)
    if not peers or not mine:
        return mine, "", None, None, dropped
    ratios = [[t / m for t, m in zip(column, mine)] for column in theirs]
    best = min(range(len(peers)), key=lambda i: statistics.median(ratios[i]))
    return mine, named[best][0], theirs[best], ratios[best], dropped


def memory_table(bench, script, cases):
    """Peak of a process of its own for each training step; the peer's has run for a second."""
    print("\n| case | ours | peer, peak of the process |\n|---|---|---|")
    for name, unit, _ in cases:
        if unit != "step":
            continue
        ours = subprocess.run([bench, "memory", name], capture_output=True, text=True, check=True).stdout.strip()
        theirs = ""
        if script:
            side = Side(script)
            side.slice(name, 0.5, 0)
            theirs = f"{side.memory()} KiB"
            side.close()
        print(f"| {name} | {ours} | {theirs} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=11)
    p.add_argument("--slice", type=float, default=0.05)
    p.add_argument("--wall", action="store_true")
    p.add_argument("--memory", action="store_true", help="also peak memory of each training step, and start-up")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--alone", action="store_true", help="the peer is ours with one thread")
    p.add_argument("--busy", action="store_true", help="another program keeps the last processor busy")
    p.add_argument("--steady", action="store_true", help="rounds in which the machine has fewer processors to give do not count")
    p.add_argument("--against", metavar="OLD=NEW", help="the peer is another case of ours: NEW in its name for OLD")
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("cases", nargs="*", default=["*"])
    o = p.parse_args()
    bench = o.build / "tests/bench/gradus-bench"
    if not bench.exists():
        sys.exit(f"{bench} is missing. Fix: ninja -C {o.build} bench")
    listed = subprocess.run([bench, "list"], capture_output=True, text=True, check=True).stdout
    cases = [line.split("\t") for line in listed.splitlines()]
    names = {name for name, _, _ in cases}
    cases = [c for c in cases if any(fnmatch.fnmatchcase(c[0], pattern) for pattern in o.cases)]
    rename = tuple(o.against.partition("=")[::2]) if o.against else ("", "")
    if o.against:
        cases = [c for c in cases if c[0].replace(*rename, 1) in names - {c[0]}]
    if not cases:
        sys.exit(f"No case is called so{', nor is there one for it to stand beside' if o.against else ''}. Fix: see {bench} list")

    python, version = (None, None) if o.alone or o.against else python_with_torch()
    script = [python, HERE / "torch_side.py"] if python else None
    many = [bench, "--threads", str(o.threads), "serve"]
    ours = Side(many)
    settings = peers_of(script, o.threads) if script else []
    if o.alone or o.against:
        settings = [("one thread", [bench, "serve"], {}) if o.alone else ("", many, {})]
    peers = [(words, Side(command, rename, **env)) for words, command, env in settings]
    busy = subprocess.Popen([sys.executable, "-c", "import os\nos.sched_setaffinity(0, {os.cpu_count() - 1})\nwhile True: pass"]) if o.busy else None
    machine_side = [Side([bench, "processors", str(o.threads)])] if o.steady else []
    wall = o.wall or o.threads > 1
    peer = "ours" + f" at another case, {o.against}" * bool(o.against) + " with one thread" * o.alone
    if not o.alone and not o.against:
        peer = f"PyTorch {version}" if python else "none found"
    print(f"Machine: {machine()}{'; its last processor is kept busy' if busy else ''}.")
    print(f"Peer: {peer}; {o.threads} thread{'s' if o.threads > 1 else ''}; {o.rounds} rounds of "
          f"{2 + 2 * len(peers)} slices of {o.slice} s of processor time{', timed by the clock' if wall else ''}.\n")
    print("| case | what | ours | peer | its settings | peer / ours | quartiles |\n|---|---|---|---|---|---|---|", flush=True)
    def steady():
        return all(side.slice("processors", 0.04, 0) >= 0.95 * o.threads for side in machine_side)

    for name, unit, words in cases:
        mine, which, theirs, ratio, dropped = compare(name, ours, peers, o.rounds, o.slice, 0 if wall else 1, steady)
        per = "" if unit == "step" else f" / {unit}"
        row = [name, words, shown(statistics.median(mine)) + per if mine else ""]
        if theirs:
            low, middle, high = quartiles(ratio)
            other = [name.replace(*rename, 1)] if o.against else []
            row += [shown(statistics.median(theirs)) + per, ", ".join(other + [which] * bool(which)), f"**{middle:.2f}**", f"{low:.2f}-{high:.2f}"]
        else:
            row += ["", "", "", ""]
        if o.steady:
            row[-1] += f"; {dropped} of {dropped + len(mine)} rounds dropped"
        print("| " + " | ".join(row) + " |", flush=True)
    for side in [ours, *machine_side, *(side for _, side in peers)]:
        side.close()
    if busy:
        busy.kill()
        busy.wait()
    if o.memory:
        memory_table(bench, script, cases)
        print("\nStart-up: " + subprocess.run([bench, "start"], capture_output=True, text=True, check=True).stdout.strip())


if __name__ == "__main__":
    main()
