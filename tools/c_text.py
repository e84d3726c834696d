"""Reads C files for the checkers: which files there are, and their text without what is not code.

The views keep every line where it was, so a place found in them is a place in the file.
"""
import pathlib
import re

FOLDERS = ("include", "src", "sim", "tests", "bench", "examples")

# Comments, string and character literals, in the order in which they may swallow each other.
TOKEN = re.compile(
    r'//(?:[^\n\\]|\\.|\\\n)*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def c_files(root, folders=FOLDERS):
    """All C sources and headers of the tree, in a stable order."""
    for folder in folders:
        for path in sorted((pathlib.Path(root) / folder).rglob("*.[ch]")):
            yield path


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def code_only(text):
    """The text with comments and the insides of literals made blank."""
    def replace(match):
        token = match.group()
        if token.startswith("/"):
            return blank(token)
        return token[0] + blank(token[1:-1]) + token[-1]
    return TOKEN.sub(replace, text)


def without_comments(text):
    """The text with comments made blank and literals kept: include lines survive."""
    return TOKEN.sub(lambda m: blank(m.group()) if m.group().startswith("/") else m.group(), text)


def comments(text):
    """(offset, comment) of every comment."""
    return [(m.start(), m.group()) for m in TOKEN.finditer(text) if m.group().startswith("/")]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def read_layers(root):
    """src/LAYERS as ({folder: folders it may see, itself included}, {pure folders})."""
    path = pathlib.Path(root) / "src" / "LAYERS"
    rules, pure = {}, set()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        if line.count(":") != 1:
            raise SystemExit(f"src/LAYERS:{number}: write `folder: folders`")
        folder, allowed = (part.strip() for part in line.split(":"))
        if folder.endswith(" pure"):
            folder = folder.removesuffix(" pure").strip()
            pure.add(folder)
        if folder in rules:
            raise SystemExit(f"src/LAYERS:{number}: {folder} is declared twice")
        unknown = set(allowed.split()) - rules.keys()
        if unknown:  # A folder names only folders above it: no cycle can be written.
            names = " ".join(sorted(unknown))
            raise SystemExit(f"src/LAYERS:{number}: {folder} names {names}: not declared above it")
        if folder in pure and not set(allowed.split()) <= pure:
            names = " ".join(sorted(set(allowed.split()) - pure))
            raise SystemExit(f"src/LAYERS:{number}: {folder} is pure but names {names}, which is not")
        rules[folder] = set(allowed.split()) | {folder}
    return rules, pure
