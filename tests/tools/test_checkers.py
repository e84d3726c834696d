#!/usr/bin/env python3
"""Proves that each checker in tools/ can fail: plants one fault of each kind in a small clean tree
and asserts that it is reported, at its place; and that the clean tree passes.

Run: python3 tests/tools/test_checkers.py [-v]
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / "tools"

CLEAN = {
    "include/mortar/status.h": """#ifndef MORTAR_STATUS_H
#define MORTAR_STATUS_H
#define MORTAR_API __attribute__((visibility("default")))
#ifdef __cplusplus
extern "C" {
#endif
MORTAR_API const char *mortar_status_text(int status);
#ifdef __cplusplus
}
#endif
#endif
""",
    "src/base/bytes.h": """#ifndef BASE_BYTES_H
#define BASE_BYTES_H
#include <stddef.h>
size_t bytes_count(const char *text);
#endif
""",
    "src/base/bytes.c": """#include "base/bytes.h"

#include <string.h>

#include "mortar/status.h"

static const char *const names[] = {"a // b", "rand()"};
static const int table[4] = {1, 2, 3, 4};
static int helper(int value);

static int helper(int value)
{
    static const int bias = 1;
    char fixed[sizeof(size_t) * 2];
    fixed[0] = (char)value;
    return table[fixed[0] & 3] + bias;
}

size_t bytes_count(const char *text)
{
    return strlen(text) + (size_t)helper(1);
}

const char *mortar_status_text(int status)
{
    return names[status & 1];
}
""",
    "src/raft/step.c": '#include "raft/step.h"\n\n#include "base/bytes.h"\n',
    "src/os/loop.c": '#include <stdio.h>\n\n#include "base/bytes.h"\n\nint os_calls;\n',
    "sim/net.c": '#include "raft/step.h"\n\n#include <stdlib.h>\n\n#include "mortar/status.h"\n',
    "src/raft/step.h": "#ifndef RAFT_STEP_H\n#define RAFT_STEP_H\nint raft_step(void);\n#endif\n",
    "sim/check/judge.c": '#include "base/bytes.h"\n#include "mortar/status.h"\n',
    "examples/hello.c": "#include <mortar/status.h>\n#include <openssl/ssl.h>\n#include <stdio.h>\n"
                        "#include <uv.h>\n",
}


class CheckerCase(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="mortar-checkers-"))
        self.addCleanup(shutil.rmtree, self.root)
        for name, text in CLEAN.items():
            self.write(name, text)
        shutil.copy(ROOT / "src" / "LAYERS", self.root / "src" / "LAYERS")
        shutil.copy(ROOT / ".clang-format", self.root / ".clang-format")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def append(self, name, text):
        self.write(name, (self.root / name).read_text() + text)

    def run_tool(self, tool, *arguments):
        done = subprocess.run([str(TOOLS / tool), *map(str, arguments)], capture_output=True,
                              text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def assert_passes(self, tool, *arguments):
        code, output = self.run_tool(tool, *arguments)
        self.assertEqual((code, output), (0, ""))

    def assert_reports(self, tool, expected, *arguments):
        code, output = self.run_tool(tool, *arguments)
        self.assertIn(expected, output)
        self.assertNotEqual(code, 0, "a fault was printed, but the exit status says all is well")


class Layers(CheckerCase):
    def check(self, name, include, expected):
        self.write(name, f"/* A file. */\n{include}\n")
        self.assert_reports("check_layers.py", expected, self.root)

    def test_clean_tree_passes(self):
        self.assert_passes("check_layers.py", self.root)

    def test_wrong_includes_are_reported(self):
        for name, include, expected in [
            ("src/base/x.c", '#include "raft/step.h"', "src/base/x.c:2: base/ may not include raft"),
            ("src/raft/x.c", '#include "os/loop.h"', "src/raft/x.c:2: raft/ may not include os"),
            ("src/raft/x.c", "#include <stdio.h>", "src/raft/x.c:2: raft/ is pure"),
            ("src/raft/x.c", "# include  <time.h>", "src/raft/x.c:2: raft/ is pure"),
            ("src/raft/x.c", '#include "step.h"', 'x.c:2: write "folder/step.h"'),
            ("src/raft/x.c", '#include "../os/loop.h"', "x.c:2: write the path from an include root"),
            ("src/raft/x.c", "#include HEADER", "x.c:2: name the included file itself"),
            ("src/os/x.c", '#include "raft/step.h"', "src/os/x.c:2: os/ may not include raft"),
            ("src/os/x.c", "#include <raft/step.h>", 'x.c:2: write "raft/step.h"'),
            ("src/x.c", "", "src/x.c:1: not in a folder of src/LAYERS"),
            ("src/new/x.c", "", "src/LAYERS:1: folder new is missing"),
            ("include/mortar/x.h", "#include <stdio.h>", "x.h:2: a public header may not include"),
            ("include/mortar/x.h", '#include "base/bytes.h"', "x.h:2: a public header may not"),
            ("sim/x.c", '#include "os/loop.h"', "sim/x.c:2: sim/ may not include os"),
            ("sim/x.c", "#include <uv.h>", "sim/x.c:2: sim/ may not include <uv.h>"),
            ("sim/check/x.c", '#include "raft/step.h"', "x.c:2: sim/check/ shares no code"),
            ("examples/x.c", '#include "raft/step.h"', "examples/x.c:2: an example sees"),
            ("examples/x.c", "#include <cmocka.h>", "examples/x.c:2: an example sees"),
            ("tests/unit/x.c", '#include "../unit/test.h"', "x.c:2: write the path from"),
        ]:
            with self.subTest(include=include, file=name):
                self.check(name, include, expected)
                (self.root / name).unlink()
                if name.startswith("src/new"):
                    (self.root / "src/new").rmdir()

    def test_include_in_a_comment_is_none(self):
        self.write("src/raft/x.c", '/*\n#include "os/loop.h"\n*/\n')
        self.assert_passes("check_layers.py", self.root)

    def test_wrong_rules_are_reported(self):
        for line, expected in [
            ("base pure: wire\nwire pure:\n", "src/LAYERS:1: base names wire"),
            ("os:\nraft pure: os\n", "src/LAYERS:2: raft is pure but names os"),
            ("base:\nbase:\n", "src/LAYERS:2: base is declared twice"),
            ("base\n", "src/LAYERS:1: write"),
        ]:
            with self.subTest(line=line):
                self.write("src/LAYERS", line)
                self.assert_reports("check_layers.py", expected, self.root)


class Banned(CheckerCase):
    def test_clean_tree_passes(self):
        self.assert_passes("check_banned.py", self.root)

    def test_each_banned_call_is_reported_with_its_replacement(self):
        lines = [line.split(maxsplit=1) for line in (TOOLS / "banned.txt").read_text().splitlines()
                 if line.strip() and not line.startswith("#")]
        self.assertGreater(len(lines), 20)
        for word in ("time", "rand", "strcpy", "strcat", "sprintf", "atoi", "alloca", "gets",
                     "strtok"):
            self.assertIn(word, [line[0] for line in lines])
        calls = "".join(f"    {word}(x);\n" for word, _ in lines)
        self.write("tests/unit/x.c", "void f(void)\n{\n" + calls + "}\n")
        code, output = self.run_tool("check_banned.py", self.root)
        self.assertEqual(code, 1)
        for number, (word, replacement) in enumerate(lines, 3):
            self.assertIn(f"tests/unit/x.c:{number}: {word}() is banned; use {replacement}", output)

    def test_members_and_longer_names_are_no_calls(self):
        self.write("src/os/x.c", "int f(struct s *s)\n{\n    return s->time(s) + s->a.rand() + "
                                 "uptime() + time_of(s);\n}\n")
        self.assert_passes("check_banned.py", self.root)

    def test_other_faults_are_reported(self):
        for name, line, expected in [
            ("src/os/x.c", "    char text[count];", ":2: the array's length varies"),
            ("src/os/x.c", "    struct item items[2 * list->count] = {0};", ":2: the array's length"),
            ("src/os/x.c", "    return; // later", ":2: write /* a sentence. */"),
            ("src/os/x.c", "    /* TO" + "DO: more */", ":2: TO" + "DO is a note to self"),
            ("src/os/x.c", "    /* FIX" + "ME */", ":2: FIX" + "ME is a note to self"),
            ("src/raft/x.c", "    static int count = 0;", ":2: mutable global"),
            ("src/raft/x.c", "static struct raft the_raft;", ":2: mutable global"),
            ("src/raft/x.c", "static const char *name;", ":2: mutable global"),
            ("src/raft/x.c", "int elections;", ":2: mutable global"),
            ("src/raft/x.c", "static _Atomic(int *) shared;", ":2: mutable global"),
            ("src/raft/x.c", "uint8_t scratch[16];", ":2: mutable global"),
            ("src/raft/x.c", "struct raft *current = NULL;", ":2: mutable global"),
            ("src/raft/x.c", "#ifdef MORTAR_BUGS\n#else\nint count;", ":4: mutable global"),
        ]:
            with self.subTest(line=line):
                self.write(name, f"/* A file. */\n{line}\n")
                self.assert_reports("check_banned.py", name + expected, self.root)
                (self.root / name).unlink()

    def test_lawful_lines_pass(self):
        self.write("src/base/x.h", "#ifdef MORTAR_BUGS\nextern int bug;\nint bug;\n#else\n#endif\n")
        self.write("src/raft/x.c", "struct raft;\nstatic const int table[] = {1};\n"
                                   "static const char *const name = \"x\";\n"
                                   "extern const int other;\ntypedef int number;\n"
                                   "enum kind { A, B };\nint f(int a);\nconst int limit = 3;\n"
                                   "int g(int a)\n{\n    int b = 1;\n    int c[B];\n    c[a] = b;\n"
                                   "    return c[a];\n}\n")
        self.assert_passes("check_banned.py", self.root)


class Size(CheckerCase):
    def test_clean_tree_passes(self):
        self.assert_passes("check_size.py", self.root)

    def test_limits_are_exact(self):
        for body, passes in [(67, True), (68, False)]:  # Plus a head and two braces.
            self.write("src/os/x.c", "int f(int a)\n{\n" + "    a++;\n" * body + "}\n")
            with self.subTest(function_lines=body + 3):
                if passes:
                    self.assert_passes("check_size.py", self.root)
                else:
                    self.assert_reports("check_size.py", "src/os/x.c:1: f() has 71", self.root)
        for columns, passes in [(100, True), (101, False)]:
            self.write("src/os/x.c", "/* " + "x" * (columns - 6) + " */\n")
            with self.subTest(columns=columns):
                if passes:
                    self.assert_passes("check_size.py", self.root)
                else:
                    self.assert_reports("check_size.py", "src/os/x.c:1: 101 columns", self.root)
        for lines, passes in [(800, True), (801, False)]:
            self.write("src/os/x.c", "int f(int a);\n" * lines)
            with self.subTest(file_lines=lines):
                if passes:
                    self.assert_passes("check_size.py", self.root)
                else:
                    self.assert_reports("check_size.py", "src/os/x.c:801: 801 lines", self.root)


class Lists(CheckerCase):
    def test_unlisted_files_are_reported_and_listed_ones_are_not(self):
        for folder in ("src", "sim", "examples"):
            shutil.rmtree(self.root / folder)
        self.write("src/os/meson.build", "os_sources = files(\n  'loop.c', # 'clock.c'\n)\n")
        self.write("src/os/loop.c", "")
        self.write("tests/unit/meson.build", "")
        self.write("tests/unit/os/meson.build", "names = [\n  'loop',\n]\n")
        self.write("tests/unit/os/test_loop.c", "")
        self.assert_passes("check_lists.py", self.root)
        for name in ("src/os/clock.c", "tests/unit/os/test_clock.c", "bench/bench_x.c"):
            with self.subTest(file=name):
                self.write(name, "")
                self.assert_reports("check_lists.py", f"{name}:1: is not listed in", self.root)
                (self.root / name).unlink()


class Headers(CheckerCase):
    def test_clean_tree_passes(self):
        self.assert_passes("check_headers.sh", self.root)

    def test_faults_are_reported(self):
        guard = "#ifndef {0}\n#define {0}\n{1}\n#endif\n"
        for name, text, expected in [
            ("src/base/x.h", guard.format("BASE_X_H", "uint8_t f(void);"),
             "src/base/x.h:1: does not stand alone"),
            ("src/base/x.h", "#ifndef BASE_X_H\n#define BASE_X_H\n#endif\nstruct s {\n    int a;\n};\n",
             "src/base/x.h:1: does not stand alone, or not twice"),
            ("src/base/x.h", "int f(void);\n", "src/base/x.h:1: has no include guard"),
            ("src/base/x.h", guard.format("BASE_BYTES_H", "int f(void);"), "shares its guard"),
            ("src/base/x.h", guard.format("BASE_X_H", "int raft_step(int);"), "src:0: its headers clash"),
            ("include/mortar/x.h", guard.format("MORTAR_X_H", "int f(int class);"),
             "include/mortar/x.h:1: does not stand alone, or not twice, in C++17"),
            ("sim/x.h", guard.format("SIM_X_H", "bool f(void);"), "sim/x.h:1: does not stand alone"),
        ]:
            with self.subTest(file=name, expected=expected):
                self.write(name, text)
                self.assert_reports("check_headers.sh", expected, self.root)
                (self.root / name).unlink()


class Format(CheckerCase):
    def test_a_wrong_layout_is_reported_and_a_right_one_passes(self):
        for folder in ("src", "sim", "examples"):
            shutil.rmtree(self.root / folder)
        self.assert_passes("check_format.sh", self.root)
        self.write("src/os/x.c", "int f( int a )\n{\n  return a;\n}\n")
        self.assert_reports("check_format.sh", "src/os/x.c:1:", self.root)

    def test_a_tree_without_files_does_not_pass(self):
        for folder in ("src", "sim", "examples", "include"):
            shutil.rmtree(self.root / folder)
        self.assert_reports("check_format.sh", "no C file found", self.root)


class ObjectCode(CheckerCase):
    """Purity of the archive and the exports of the library, on freshly compiled code."""

    def archive(self, *extra):
        for text in extra:
            self.append("src/base/bytes.c", text)
        objects = self.root / "bytes.o"
        subprocess.run(["gcc", "-std=c17", "-g", "-O2", "-fPIC", "-Iinclude", "-Isrc", "-c",
                        "src/base/bytes.c", "-o", objects], cwd=self.root, check=True, timeout=60)
        archive = self.root / "libcore.a"
        archive.unlink(missing_ok=True)
        subprocess.run(["ar", "rcs", archive, objects], check=True, timeout=60)
        return archive

    def library(self, *extra):
        for text in extra:
            self.append("src/base/bytes.c", text)
        library = self.root / "libmortar.so"
        subprocess.run(["gcc", "-std=c17", "-g", "-fPIC", "-shared", "-fvisibility=hidden",
                        "-Iinclude", "-Isrc", "src/base/bytes.c", "-o", library], cwd=self.root,
                       check=True, timeout=60)
        return library

    def test_pure_archive_passes(self):
        self.assert_passes("check_purity.sh", self.archive())

    def test_system_calls_are_reported(self):
        self.assert_reports("check_purity.sh", "bytes.c:",
                            self.archive("int puts(const char *);\nint p(void);\nint p(void)\n{\n"
                                         "    return puts(names[0]);\n}\n"))
        self.assert_reports("check_purity.sh", "a pure layer needs puts()", self.archive())

    def test_allocation_is_reported(self):
        self.assert_reports("check_purity.sh", "a pure layer needs malloc()", self.archive(
            "void *malloc(size_t);\nvoid *q(void);\nvoid *q(void)\n{\n    return malloc(8);\n}\n"))

    def test_mutable_globals_are_reported(self):
        for text, name in [
            ("int set_data(int);\nint set_data(int a)\n{\n    static int kept = 5;\n"
             "    return kept += a;\n}\n", "kept"),
            ("int zeroed[4];\n", "zeroed"),
            ("static struct {\n    int a;\n} unnamed;\nint *get(void);\nint *get(void)\n{\n"
             "    return &unnamed.a;\n}\n", "unnamed"),
        ]:
            with self.subTest(name=name):
                self.write("src/base/bytes.c", CLEAN["src/base/bytes.c"])
                self.assert_reports("check_purity.sh", f"holds the mutable global {name}",
                                    self.archive(text))

    def test_nothing_to_check_is_a_failure(self):
        self.assert_reports("check_purity.sh", "no such archive", self.root / "none.a")
        self.assert_reports("check_exports.sh", "no such library", self.root / "none.so")
        subprocess.run(["ar", "rcs", "empty.a"], cwd=self.root, check=True, timeout=60)
        self.assert_reports("check_purity.sh", "nothing to check", self.root / "empty.a")

    def test_declared_exports_pass(self):
        self.assert_passes("check_exports.sh", self.library(), self.root / "include")

    def test_wrong_exports_are_reported(self):
        public = '__attribute__((visibility("default"))) '
        headers = self.root / "include"
        self.assert_reports("check_exports.sh", "raft_open is exported without the prefix",
                            self.library(public + "void raft_open(void)\n{\n}\n"), headers)
        self.assert_reports("check_exports.sh", "mortar_hidden is exported, but no public header",
                            self.library(public + "void mortar_hidden(void)\n{\n}\n"), headers)

    def test_a_declared_function_that_is_missing_is_reported(self):
        library = self.library()
        self.append("include/mortar/status.h", "MORTAR_API int\nmortar_lost(int a,\n    int b);\n")
        self.assert_reports("check_exports.sh", "status.h:12: mortar_lost() is declared, but",
                            library, self.root / "include")


class LeftBehind(CheckerCase):
    """A test's own folder and programs."""

    def setUp(self):
        super().setUp()
        (self.root / "build").mkdir()
        folder = self.root / "temporary"
        folder.mkdir()
        patch = unittest.mock.patch.dict(os.environ, {"TMPDIR": str(folder)})
        patch.start()
        self.addCleanup(patch.stop)

    def test_a_file_is_reported(self):
        self.assert_passes("check_left_behind.sh", self.root / "build")
        self.write("temporary/kept", "")
        self.assert_reports("check_left_behind.sh", "temporary/kept: error: left behind",
                            self.root / "build")

    def test_a_process_is_reported(self):
        program = self.root / "build" / "program"
        shutil.copy("/bin/sleep", program)
        with subprocess.Popen([program, "60"]) as process:
            self.assert_reports("check_left_behind.sh", f"/proc/{process.pid}/exe: error: left",
                                self.root / "build")
            process.kill()
        self.assert_passes("check_left_behind.sh", self.root / "build")


class Counting(CheckerCase):
    """What `make test` sums up: nothing that did not pass may count as passed."""

    def count(self, *results):
        if results:
            self.write("build/meson-logs/run.json", "".join(
                f'{{"name": "mortar:unit / t{number}", "result": "{result}"}}\n'
                for number, result in enumerate(results)))
        return self.run_tool("count_tests.py", self.root / "build", "run")[1].splitlines()

    def test_each_result_counts_once(self):
        lines = self.count("OK", "FAIL", "TIMEOUT", "ERROR", "INTERRUPT", "UNEXPECTEDPASS", "SKIP")
        self.assertEqual(lines[0], "1 5 1")
        self.assertIn("t1 fail; again: meson test -C", lines[1])

    def test_a_run_without_results_is_a_failure(self):
        self.assertEqual(self.count()[0], "0 1 0")


if __name__ == "__main__":
    unittest.main()
