#!/usr/bin/env python3
"""Four processes, one state; one is frozen, one comes late, the leader is killed; all are equal.

Makes a key, founds a group, joins two more processes, feeds a text of 100 MB, freezes one follower
while half of it is fed and thaws it, joins a fourth process with nothing while the rest is fed, and
compares the four digests. Then, while more lines stream in at a follower, it kills the leader,
waits for the next acknowledgement, starts the killed process again in its directory, where it takes
the place of the member that it was, and compares the digests with that of what was acknowledged.
Shows each catch-up as it goes: a live line on a terminal, plain lines elsewhere. The last line on
stdout is one JSON object with what was measured. Ends with 1 and says why if anything is not as it
should be. All connections are on loopback; nothing stays behind.

Usage: demo.py [--build FOLDER] [--mb MEGABYTES]
"""
import argparse
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# base-files is essential: every Debian system has these.
TEXTS = pathlib.Path("/usr/share/common-licenses")
SECONDS_MAX = 110
FREEZE_SECONDS = 4  # The others must have taken it for gone, and its connections for dead.
REST_BYTES_PER_SECOND = 12_000_000  # Slow enough that the fourth process joins in mid-stream.
STREAM_BYTES_PER_SECOND = 2_000_000
STREAM_BYTES_MAX = 50_000_000  # Behind the text, to stream from: for longer than the last act takes.
POLL_SECONDS = 0.05
PLAIN_SECONDS = 0.25
TERMINAL = sys.stdout.isatty()


class Failure(Exception):
    """Something is not as it should be."""


def say(text):
    """One whole line; on a terminal it takes the place of the live line."""
    print(("\r\x1b[K" if TERMINAL else "") + text, flush=True)


class Member:
    """A process running examples/lines, and what it said last."""

    def __init__(self, demo, name, verb, peers):
        self.name = name
        self.frozen = False
        self.events = {}
        self.arrived = threading.Condition()
        self.errors = demo.folder / f"{name}.log"
        command = [demo.lines, verb, "--dir", demo.folder / name, "--listen", "127.0.0.1:0",
                   "--key", demo.key, "--network", "demo"]
        if peers:
            command += ["--peers", ",".join(peers)]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, bufsize=1)
        demo.members.append(self)  # From here on demo.close() ends it.
        threading.Thread(target=self.listen, daemon=True).start()
        self.address = self.wait("open", demo.left())["address"]
        status = self.status()
        self.id = status["member"]
        self.full_id = status["id"]  # Another one in each process, over the in-memory log.

    def listen(self):
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "error", "text": line}
            with self.arrived:
                self.events.setdefault(event["event"], []).append(event)
                self.arrived.notify_all()
        with self.arrived:
            self.events["end"] = [{}]
            self.arrived.notify_all()

    def poll(self, event):
        """The next event of that name, if it is there."""
        with self.arrived:
            return self.events[event].pop(0) if self.events.get(event) else None

    def wait(self, event, seconds):
        with self.arrived:
            self.arrived.wait_for(
                lambda: any(self.events.get(e) for e in (event, "end", "error")), seconds)
            if self.events.get("error"):
                raise Failure(f"{self.name}: {self.events['error'][0]['text']}")
            if not self.events.get(event):
                how = "has ended" if self.events.get("end") else "says nothing"
                raise Failure(f"{self.name} {how}; it should have said '{event}'. Its log:\n"
                              + self.errors.read_text(errors="replace")[-2000:])
            return self.events[event].pop(0)

    def ask(self, words, event):
        try:
            self.process.stdin.write(words + "\n")
        except OSError as error:
            raise Failure(f"{self.name} has ended. Its log:\n"
                          + self.errors.read_text(errors="replace")[-2000:]) from error
        return self.wait(event, 10)

    def status(self):
        return self.ask("status", "status")

    def order(self, words):
        """Nothing is answered at once."""
        self.process.stdin.write(words + "\n")

    def signal(self, number):
        self.process.send_signal(number)
        self.frozen = number == signal.SIGSTOP

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


class Catchup:
    """Watches the catch-up of one member; several sessions of one episode count together."""

    def __init__(self, member, why, sessions_before):
        self.member = member
        self.why = why
        self.sessions_before = sessions_before
        self.sessions = {}
        self.started = time.monotonic()
        self.shown = 0.0
        self.done = False

    def look(self, status, goal):
        sync = status["sync"]
        fresh = sync["active"] or \
            status["sessions_done"] + status["sessions_failed"] > self.sessions_before
        if fresh and sync["session"] != "0" * 16:
            self.sessions[sync["session"]] = sync
        whole = not sync["active"] and status["applied"] >= goal
        if whole and not self.done:
            self.done = True
            self.tell()
        elif sync["active"]:
            self.show(sync, status)

    def show(self, sync, status):
        now = time.monotonic()
        if now - self.shown < (POLL_SECONDS if TERMINAL else PLAIN_SECONDS):
            return
        self.shown = now
        total = sync["bytes_done"] + sync["bytes_left"]
        share = sync["bytes_done"] / total if total else 0.0
        left = "?" if sync["left_ms"] is None else f"{sync['left_ms'] / 1000:.1f} s"
        sources = sum(1 for source in sync["sources"] if source["bytes"] > 0)
        bar = "#" * round(20 * share) + "." * (20 - round(20 * share))
        text = (f"  {self.member.name} catches up [{bar}] {sync['bytes_done'] / 1e6:6.1f} MB of "
                f"{total / 1e6:.1f}  {sync['bytes_per_second'] / 1e6:6.1f} MB/s  "
                f"{sources} sources  {left} left  applied {status['applied']}")
        if sync["waits_for"]:
            text += f"  (waits for {sync['waits_for']})"
        if TERMINAL:
            print("\r\x1b[K" + text[:shutil.get_terminal_size().columns - 1], end="", flush=True)
        else:
            say(text)

    def sources(self):
        """Bytes by member, and which of them was the leader."""
        served = {}
        leaders = set()
        for sync in self.sessions.values():
            for source in sync["sources"]:
                served[source["member"]] = served.get(source["member"], 0) + source["bytes"]
                if source["leader"]:
                    leaders.add(source["member"])
        return {member: count for member, count in served.items() if count > 0}, leaders

    def total(self, field):
        return sum(sync[field] for sync in self.sessions.values())

    def report(self):
        served, leaders = self.sources()
        seconds = self.total("elapsed_ms") / 1000
        return {"member": self.member.id, "why": self.why, "entries": self.total("entries_done"),
                "bytes": self.total("bytes_done"), "seconds": round(seconds, 3),
                "bytes_per_second": round(self.total("bytes_done") / seconds) if seconds else None,
                "sources": len(served), "sessions": len(self.sessions),
                "tail_entries": self.total("tail_entries"), "tail_bytes": self.total("tail_bytes"),
                "leader_bytes": sum(served.get(member, 0) for member in leaders),
                "follower_bytes": sorted(count for member, count in served.items()
                                         if member not in leaders)}

    def tell(self):
        report = self.report()
        parts = [f"{count / 1e6:.1f} MB" for count in report["follower_bytes"]]
        say(f"  {self.member.name} is whole again: {report['entries']} entries, "
            f"{report['bytes'] / 1e6:.1f} MB in {report['seconds']:.2f} s from {report['sources']} "
            f"sources (followers {', '.join(parts) or 'none'}; leader "
            f"{report['leader_bytes'] / 1e6:.1f} MB); live tail {report['tail_bytes'] / 1e6:.1f} MB")


class Demo:
    def __init__(self, arguments):
        build = pathlib.Path(arguments.build)
        self.lines = build / "examples" / "lines"
        self.mortar = build / "src" / "mortar"
        self.bytes_min = arguments.mb * 1_000_000
        self.lines_min = arguments.mb * 10_000
        self.members = []
        self.deadline = time.monotonic() + SECONDS_MAX
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mortar-demo-"))
        self.key = self.folder / "group.key"
        self.text = self.folder / "text"

    def left(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Failure(f"not done after {SECONDS_MAX} seconds")
        return left

    def close(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # Nothing breaks off the cleaning up.
        for member in self.members:
            member.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill_one(self, member):
        """By its id, and for good; answers when."""
        when = time.monotonic()
        member.end()
        self.members.remove(member)
        return when

    def until(self, what, seconds, check):
        end = time.monotonic() + min(seconds, self.left())
        while True:
            found = check()
            if found:
                return found
            if time.monotonic() > end:
                raise Failure(f"not reached within {seconds} s: {what}")
            time.sleep(POLL_SECONDS)

    def start(self, name, verb, peers=()):
        return Member(self, name, verb, peers)

    def make_text(self):
        """Numbered lines of the licenses, over and over: no two alike, the same on every run. Answers
        how much is to be fed; the rest is to be streamed."""
        lines = []
        for path in sorted(TEXTS.iterdir()):
            if path.is_file() and not path.is_symlink():
                lines += [line.strip() for line in path.read_bytes().splitlines() if line.strip()]
        if not lines:
            raise Failure(f"{TEXTS} holds no text")
        count = size = 0
        fed = None
        with self.text.open("wb", buffering=1 << 20) as out:
            while not fed or size < fed[1] + STREAM_BYTES_MAX:
                line = b"%08d %s\n" % (count, lines[count % len(lines)])
                out.write(line)
                size += len(line)
                count += 1
                if not fed and size >= self.bytes_min and count >= self.lines_min:
                    fed = count, size
        self.count = count  # With what is there to stream.
        return fed

    def feed_shown(self, leader, first, last):
        """Feeds lines at full speed and shows how it goes."""
        leader.order(f"feed {self.text} {first} {last}")
        shown = time.monotonic()
        while True:
            fed = leader.poll("fed")
            if fed:
                break
            self.left()
            if time.monotonic() - shown > 1:
                shown = time.monotonic()
                say(f"  feeding: {leader.status()['applied']} entries applied by the leader")
            time.sleep(POLL_SECONDS)
        self.check_fed(fed, last - first)
        return fed

    @staticmethod
    def check_fed(fed, lines):
        if fed["status"] != "MORTAR_OK" or fed["lines"] != lines:
            raise Failure(f"only {fed['lines']} of {lines} lines were executed: {fed['status']}")

    def found_three(self):
        subprocess.run([self.mortar, "keygen", self.key], check=True, stdout=subprocess.DEVNULL)
        first = self.start("one", "found")
        self.until("the founder leads", 10, lambda: first.status()["role"] == "leader")
        self.start("two", "join", [first.address])
        self.start("three", "join", [first.address])

        def three_voters():
            found = [member.status() for member in self.members]
            return all(one["voters"] == 3 and not one["joint"] for one in found)
        self.until("three voters", 20, three_voters)
        say(f"three processes, three voters: {', '.join(member.address for member in self.members)}")
        return self.leader()

    def leader(self):
        """The member that leads, and its term."""
        def one_leader():
            for member in self.members:
                status = member.status()
                if status["role"] == "leader":
                    return member, status["term"]
            return None
        return self.until("a leader", 10, one_leader)

    def freeze_and_feed(self, leader, half):
        frozen = next(member for member in reversed(self.members) if member is not leader)
        before = frozen.status()
        frozen.signal(signal.SIGSTOP)
        say(f"{frozen.name} is frozen (SIGSTOP) while the first {half} lines are fed")
        thaw_at = time.monotonic() + FREEZE_SECONDS
        fed = self.feed_shown(leader, 0, half)
        say(f"  fed {fed['lines']} lines, {fed['bytes'] / 1e6:.1f} MB in {fed['seconds']:.1f} s")
        time.sleep(max(0, thaw_at - time.monotonic()))
        frozen.signal(signal.SIGCONT)
        say(f"{frozen.name} is thawed; the rest is fed at {REST_BYTES_PER_SECOND / 1e6:.0f} MB/s")
        return Catchup(frozen, "frozen", before["sessions_done"] + before["sessions_failed"])

    def feed_rest(self, leader, thawed, half, count):
        """Feeds the rest, joins the fourth process meanwhile; answers its catch-up."""
        goal = leader.status()["committed"]
        leader.order(f"feed {self.text} {half} {count} {REST_BYTES_PER_SECOND}")
        joined = None
        fed = None
        join_at = goal + (count - half) // 2
        while not (fed and thawed.done and joined and joined.done):
            self.left()
            now = leader.status()
            thawed.look(thawed.member.status(), goal)
            fed = fed or leader.poll("fed")
            if not joined and (thawed.done or now["committed"] >= join_at):
                if fed:
                    raise Failure("the text was fed before the fourth process could join")
                say(f"a fourth process joins with nothing, {now['committed']} entries behind")
                member = self.start("four", "join", [one.address for one in self.members])
                joined = Catchup(member, "empty", 0)
                goal_joined = now["committed"]
            elif joined:
                joined.look(joined.member.status(), goal_joined)
            time.sleep(POLL_SECONDS)
        self.check_fed(fed, count - half)
        return joined

    def stream_and_kill(self, leader, count):
        """Lines stream in at a follower and the leader dies; answers how long nothing was executed."""
        feeder = next(member for member in self.members if member is not leader)
        self.feeder = feeder
        feeder.order(f"stream {self.text} {count} {self.count} {STREAM_BYTES_PER_SECOND}")
        start = feeder.status()["applied"]
        self.until("lines stream in", 10, lambda: feeder.status()["applied"] > start + 5000)
        old = leader.status()
        killed = self.kill_one(leader)
        say(f"{leader.name}, which leads, is killed (SIGKILL) while lines stream in at {feeder.name}")
        gap = self.until("commands are acknowledged again", 20, lambda: self.gap_at(feeder, killed))
        now_leader, term = self.leader()
        if term <= old["term"]:
            raise Failure(f"{now_leader.name} leads in term {term}, the killed one led in it as well")
        say(f"  {now_leader.name} leads; {gap:.2f} s from the kill to the next acknowledged line")
        return old["id"], gap

    @staticmethod
    def gap_at(feeder, killed):
        """Seconds from the kill to the next acknowledgement, once that has come."""
        found = feeder.poll("gap")
        over = found["to_us"] / 1e6 - killed if found else 0
        return over if over > 0 else None

    def replace(self, killed, old):
        """The killed process starts again in its directory; answers its catch-up."""
        leader, _ = self.leader()
        behind = leader.status()["committed"]
        member = self.start(killed.name, "join", [one.address for one in self.members])
        say(f"{member.name} is started again in its directory, {behind} entries behind: a new member")
        if member.full_id == old:
            raise Failure(f"{member.name} came back under its old id, without its log")
        catchup = Catchup(member, "killed", 0)

        def has_its_place():
            status = member.status()
            catchup.look(status, behind)
            return catchup.done and status["voter"] and not status["joint"] and \
                old not in status["configuration"]
        self.until(f"{member.name} has its place back", 30, has_its_place)
        if not catchup.sessions:
            raise Failure(f"{member.name} caught up without a session")
        self.until("a plain configuration of the living, three of them voters", 10, self.is_settled)
        say(f"  {member.name} is a voter again in the place of the member that it was, which is removed")
        return catchup

    def is_settled(self):
        living = sorted(member.full_id for member in self.members)
        found = [member.status() for member in self.members]
        return all(sorted(one["configuration"]) == living and one["voters"] == 3
                   and not one["joint"] for one in found)

    def end_stream(self, count):
        """Answers how many lines of the text are acknowledged now, and their bytes and digest."""
        self.feeder.order("enough")
        fed = self.feeder.wait("fed", 20)
        if fed["status"] != "MORTAR_OK":
            raise Failure(f"the stream ended with {fed['status']}")
        lines = count + fed["lines"]
        if lines >= self.count:
            raise Failure("the text came to its end before the killed process had its place back")
        digest = hashlib.sha256()
        size = 0
        with self.text.open("rb") as text:
            for line in itertools.islice(text, lines):
                digest.update(line)
                size += len(line)
        say(f"the stream is ended: {fed['lines']} lines, each acknowledged once")
        return {"lines": lines, "bytes": size, "sha256": digest.hexdigest()}

    def kill_act(self, leader, count):
        """The leader is killed and comes back; answers that catch-up, the gap, what is acknowledged."""
        old, gap = self.stream_and_kill(leader, count)
        catchup = self.replace(leader, old)
        wanted = self.end_stream(count)
        digests = self.compare(self.leader()[0])
        for member, digest in zip(self.members, digests):
            if any(digest[key] != wanted[key] for key in wanted):
                raise Failure(f"{member.name} holds {digest['lines']} lines, digest "
                              f"{digest['sha256']}; acknowledged were {wanted}")
        if not self.is_settled():
            raise Failure("the configuration does not name exactly the living members")
        return catchup, gap, wanted

    def compare(self, leader):
        """All members apply all; answers their digests."""
        goal = leader.status()["committed"]

        def all_applied():
            return all(member.status()["applied"] >= goal for member in self.members)
        self.until("all members have applied everything", 30, all_applied)
        digests = [member.ask("digest", "digest") for member in self.members]
        for member, digest in zip(self.members, digests):
            say(f"  {member.name:5} {digest['sha256']}  {digest['lines']} lines")
        return digests

    def judge(self, leader, term, thawed, joined):
        """Names what is not as it should be."""
        now_leader, now_term = self.leader()
        if (now_leader, now_term) != (leader, term):
            raise Failure(f"{leader.name} led in term {term}, but now {now_leader.name} leads in "
                          f"term {now_term}: the thawed follower should not depose the leader")
        for catchup in (thawed, joined):
            if not catchup.sessions:
                raise Failure(f"{catchup.member.name} caught up without a session")
        report = joined.report()
        if report["sources"] < 2:
            raise Failure(f"the fourth process was served by {report['sources']} source(s), "
                          "not by two or more")
        if report["leader_bytes"] >= min(report["follower_bytes"], default=0):
            raise Failure(f"the leader served the fourth process {report['leader_bytes']} bytes, the "
                          f"followers {report['follower_bytes']}: it should serve less than any")

    def run(self):
        started = time.monotonic()
        count, size = self.make_text()
        say(f"a text of {count} lines, {size / 1e6:.1f} MB, from {TEXTS}")
        leader, term = self.found_three()
        half = count // 2
        thawed = self.freeze_and_feed(leader, half)
        joined = self.feed_rest(leader, thawed, half, count)
        digests = self.compare(leader)
        equal = len({(digest["sha256"], digest["lines"]) for digest in digests}) == 1
        self.judge(leader, term, thawed, joined)
        if not equal or digests[0]["lines"] != count or digests[0]["bytes"] != size:
            raise Failure("the digests differ, or are not of the whole text")
        say(f"all four are equal, after {time.monotonic() - started:.1f} s")
        replaced, gap, wanted = self.kill_act(leader, count)
        say(f"all four hold what was acknowledged, in order, after {time.monotonic() - started:.1f} s")
        return {"entries": wanted["lines"], "bytes": wanted["bytes"], "members": len(self.members),
                "catchups": [thawed.report(), joined.report(), replaced.report()],
                "failover_seconds": round(gap, 3), "digests_equal": equal}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=ROOT / "build" / "release")
    parser.add_argument("--mb", type=int, default=104, help="size of the text")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    demo = Demo(parser.parse_args())
    try:
        report = demo.run()
        print(json.dumps(report, separators=(",", ":")), flush=True)
        return 0
    except Failure as failure:
        say(f"demo: FAILED: {failure}")
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"demo: FAILED: {error}")
    except KeyboardInterrupt:
        say("demo: interrupted")
    finally:
        demo.close()
    return 1


if __name__ == "__main__":
    sys.exit(main())
