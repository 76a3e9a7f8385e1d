"""Pages, docstrings, messages and help use the field's words: `python tests/docs/test_words.py [--comments] PATHS...`.

It lists other words as `file:line: word -> suggestion: line`. In Python files it reads docstrings and string literals,
in Markdown files prose without code. It finds flags and presets that have new names in code, too.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Suggestion: what not to write. A space means any white space. If a pattern has a group `bad`, only that group counts.
WORDS = {
    "discriminator (network), monitor (training), evaluator; to evaluate": [r"\bjudg(?:e[sd]?|ing|e?ments?)\b"],
    "style image, style, appearance": [
        r"\b(?:an?|the|this|its|their|another|new|same|one|two|three|first|second|several|many|whose|which) looks?\b"
        r"(?! (?:at|like|alike|for|up|as|right|good|real|sharp|the|less|more|better|worse)\b)",
    ],
    "style embedding": [
        r"\brows? of (?:numbers|a style|styles)\b",
        r"\b(?:styles?|painting)'?s? rows?\b",
        r"\brow of (?:the|one|each|every|which) style\b",
        r"\brows?\b(?! (?:for|per)\b| of (?:pictures|pixels|samples|the)\b| and columns|\)| of a sheet)"
        r"(?=[^.|]{0,50}\b(?:styles?|paints|painter|predict\w*|mix\w*|learn\w*)\b)",
        r"\b(?:styles?|paints|painter|predict\w*|mix\w*|learn\w*)\b[^.|]{0,50}\b(?P<bad>rows?)\b(?!\)| (?:for|per)\b)",
    ],
    "generated samples, fakes": [
        r"\bmade (?:pictures?|images?|points?|digits?|samples?|ones)\b",
        r"\breal(?: and|,| or) made\b|\bmade and real\b",
        r"\b(?:what|all that|everything that) (?:is|was|are|were) made\b(?! of\b)",
    ],
    "synthetic": [r"\bmade[- ]up\b"],
    "domain, class, mode": [
        r"\bkinds? of (?:pictures?|digits?|images?|samples?)\b",
        r"\bother kind(?:'s)?\b|\b(?:two|both|second|first) kinds?\b",
    ],
    "mixture, mode, set, domain": [r"\bheaps?\b|\bworlds?\b"],
    "trivial baselines": [r"\bcosts? nothing\b"],
    "identity; unchanged": [r"\bas they are\b(?! \w+ed\b)"],
    "color transfer": [r"\bcolors changed\b|\bchang(?:es?|ing) (?:their|its) colors\b"],
    "baseline, lower bound": [r"\bfloors?\b(?!\(|:)"],
    "classified as; target-domain accuracy": [r"\btaken for\b"],
    "cycle PSNR, cycle reconstruction": [r"\bback again\b|\bPSNR back\b"],
    "learning rate": [r"\bstep lengths?\b"],
    "forward and backward pass": [r"\bforth and back\b|\bback and forth\b"],
    "oscillate": [r"\bcirc(?:les?|led|ling) (?:around )?each other\b|\binstead of circling\b|\bwhat circles\b"],
    "overfit, memorize": [r"\bby heart\b"],
    "position(s)": [
        r"\bplaces\b(?! (?:the|it|a)\b)",
        r"(?<!in\s)(?<!takes\s)(?<!take\s)"
        r"\b(?:each|every|one|a|the|single|even|odd|second|same|other|this|per) place\b",
    ],
    "fraction": [
        r"\bshares? of\b",
        r"\b(?:an?|the|its|each|top|these|such a|even|equal|real|whose|same|certain|as) shares?\b",
    ],
    "standard deviation": [r"\bstandard[- ]deviations?\b|(?P<bad>\bdeviations?\b)"],
    "checkerboard artifacts": [r"\bweaves?\b|\bwoven\b"],
    "high-frequency noise": [r"\bspeckles?\b"],
    "Fourier features": [r"\bwaves\b"],
    "stabilized preset; remedy": [r"\bcures?\b"],
    "label scale": [r"\bloud(?:er|est|ness|ly)?\b"],
    "handwriting": [r"(?<!on\s)(?<!on\sthe\s)\b(?:one|another|same|whose) hand\b"],
    "class-conditional": [r"\bknows? (?:of |the |its )?class(?:es)?\b"],
    "train, trained, training": [r"\bteach(?:es|ing)?\b|\btaught\b", r"\blessons?\b"],
    "deceive; adversarial loss": [r"\bfool(?:s|ed|ing)?\b"],
    "training progress; animation; video": [r"\b(?-i:FiLM)\b|(?P<bad>\bfilms?\b)"],
    "latent code, latent size, z": [
        r"\bnumbers? (?:that )?(?:a|each|the|its) (?:pictures?|images?) (?:becomes?|is|are)\b",
        r"\bnumbers (?:that )?(?:it|they|pictures?) (?:is|are) made\b",
        r"\b(?:pictures?|images?|made|samples?) (?:from|of|out of) (?:\d+ |the |a few |few |two )?numbers\b",
        r"\bnumbers (?:that (?:are|were) )?drawn\b|\b(?:to|as) (?:a )?few numbers\b|\bnumbers z\b",
        r"(?<!code\s)(?<!codes\s)(?<!embedding\s)\bof (?:\d+|two|few|a few) numbers\b",
    ],
    "subject first: We keep ..., It shows ...": [
        r"(?:\A|[.:;] )(?:Kept|Shown|Similar|Wanted|Measured|Asked|Printed|Written|Left|Counted|Meant|Given|Told)"
        r" (?:is|are|was|were)\b",
    ],
    "report, describe": [r"\b(?:tells?|told|says?) of\b"],
    "use, attend to": [r"\bheed(?:ed|s)?\b"],
    "vanilla, points2d, stabilized": [r"\b(?:plain|plane) (?:preset|GAN)\b|\bpreset (?:plain|plane|cure)\b"],
    "name the source": [r"\blearners'"],
    "American spelling": [
        r"\b(?:colour|grey|centre|behaviour|favour|neighbour|honour)\w*\b",
        r"\b\w*(?:normal|optim|initial|recogn|organ|visual|general|summar|minim|maxim|penal|styl|regular|special)is"
        r"(?:e[sdr]?|ing|ations?)\b",
        r"\b(?:judgement|licence|whilst|analysed?|modell(?:ed|ing)|labell(?:ed|ing)|artefacts?)\b",
    ],
}
# Names that users typed or read, in code, flags and literals.
NAMES = {
    "discriminator_...": [r"--judge-(?:width|layers)\b|\bjudge_(?:width|layers|a|b)\b"],
    "embedding_rate": [r"--row-rate\b|\brow_rate\b"],
    "progress_epochs": [r"--film\b"],
    "reference_paintings": [r"--usual\b"],
    "stabilized, vanilla, points2d": [r"--preset(?:=| )(?:cure|plain|plane)\b"],
    "embeddings, progress": [r"--kind(?:=| )(?:codes|film)\b"],
    "adversarial, adversarial_a, adversarial_b": [r"\bfool_[ab]\b|(?<![\w-])fool(?![\w-])"],
}
# The same as whole literals.
LITERALS = {
    "stabilized, points2d": [r"\A(?:cure|plane)\Z"],
    "progress, discriminator, generated": [r"\A(?:film|judged?|made)\Z"],
}
# (end of a path, or a folder; word; line; why it may stand there). Words and lines are regular expressions.
EXCEPTIONS = [
    ("/CHANGELOG.md", "", r"^\|", "tables of old names beside the new ones"),
    ("/builtin_styles/", "(?i)waves", "", "waves of the sea"),
    ("/checkpoints/upgrade.py", "", "", "names in files of earlier versions"),
    ("/benchmarks/unchanged.py", "", r"--(?:judge|usual|preset)", "flags of earlier versions, with which it compares"),
]


def compiled(table):
    return [
        (re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE), better)
        for better, patterns in table.items()
        for pattern in patterns
    ]


WORDS, NAMES, LITERALS = map(compiled, (WORDS, NAMES, LITERALS))
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
QUOTE = re.compile(r"<!-- from \S+ -->\n```.*?^```", re.DOTALL | re.MULTILINE)


def found(text, table):
    """Yield (offset, word, suggestion) of each word that should not be there."""
    for pattern, better in table:
        group = "bad" if "bad" in pattern.groupindex else 0
        for match in pattern.finditer(text):
            if match[group] is not None:
                yield match.start(group), " ".join(match[group].split()), better


def blank(match):
    """The same number of lines, and nothing in them."""
    return re.sub(r"[^\n]", " ", match[0])


def in_markdown(text):
    """Yield (line number, word, suggestion)."""
    prose = text
    for code in (FENCE, re.compile(r"<!--.*?-->", re.DOTALL), re.compile(r"`[^`]*`"), re.compile(r"\]\([^)\s]+\)")):
        prose = code.sub(blank, prose)
    for content, table in ((prose, WORDS), (QUOTE.sub(blank, text), NAMES)):
        for at, word, better in found(content, table):
            yield text.count("\n", 0, at) + 1, word, better


def literals(tree):
    """Yield the strings of a syntax tree, but those of `__all__`."""
    public = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == "__all__" for target in node.targets)
    )
    skipped = {id(part) for node in public for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node


def in_python(text, comments=False):
    """Yield (line number, word, suggestion)."""
    for node in literals(ast.parse(text)):
        sentence = re.search(r"\s", node.value)
        prose = re.sub(r"`[^`]*`", blank, node.value)
        for content, table in ((prose, WORDS) if sentence else (node.value, LITERALS), (node.value, NAMES)):
            for at, word, better in found(content, table):
                yield min(node.lineno + content.count("\n", 0, at), node.end_lineno), word, better
    if comments:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                for _, word, better in found(token.string, WORDS):
                    yield token.start[0], word, better


def excepted(path, line, word):
    """Return the exceptions that allow a word in a line of a file."""
    name = Path(path).resolve().as_posix()
    return [
        one
        for one in EXCEPTIONS
        if (one[0] in name if one[0].endswith("/") else name.endswith(one[0]))
        if re.search(one[1], word) and re.search(one[2], line)
    ]


def hits(path, comments=False, allowed=False):
    """Return sorted (line number, word, suggestion, line) of a file: those that exceptions allow, or the others."""
    text = Path(path).read_text()
    lines = text.splitlines()
    each = in_python(text, comments) if str(path).endswith(".py") else in_markdown(text)
    every = [(line, word, better, lines[line - 1].strip()) for line, word, better in sorted(set(each))]
    return [one for one in every if bool(excepted(path, one[3], one[1])) is allowed]


PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
SCRIPTS = sorted([*(ROOT / "docs").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")])
SOURCES = sorted((ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("files", [PAGES, SCRIPTS, SOURCES], ids=["pages", "scripts", "sources"])
def test_words_of_the_field(files):
    told = [
        f"{file.relative_to(ROOT)}:{line}: {word} -> {better}: {shown[:120]}"
        for file in files
        for line, word, better, shown in hits(file)
    ]
    assert not told, "\n".join(told)


def commands(app, words=()):
    """Yield the words of every command."""
    yield words
    for name in app:
        if not name.startswith("-"):
            yield from commands(app[name], (*words, name))


def test_help_uses_words_of_the_field():
    from rich.console import Console

    from impasto.cli.flags import whole_help
    from impasto.cli.main import app

    told = set()
    for words in commands(app):
        shown = io.StringIO()
        whole_help(words, Console(file=shown, width=1000, no_color=True))
        text = "\n".join(" ".join(line.split()) for line in shown.getvalue().splitlines())
        for at, word, better in (*found(text, WORDS), *found(text, NAMES)):
            line = text[text.rfind("\n", 0, at) + 1 :].partition("\n")[0]
            told.add(f"impasto {' '.join(words)} --help: {word} -> {better}: {line[:160]}")
    assert not told, "\n".join(sorted(told))


AVOIDED = """
    the judge sees; its look is kept; a row of numbers; the row of each style; made pictures; real and made ones;
    what is made looks sharp; made-up motion; two kinds of pictures; the other kind; a heap of them; its own world;
    beside what costs nothing; pictures as they are; with colors changed; the floor of PCA; taken for B; PSNR back
    again; the step length; once forth and back; they circle around each other; learned by heart; at all places;
    from each place; a share of 0.3; even shares; two deviations away; a weave over it; speckle; waves beside the
    input; the cure for it; a class as loud as one number; in the same hand; it knows classes; to teach a network;
    the first lesson; to fool it; a film of the training; numbers that a picture becomes; pictures from numbers;
    Kept is the best one; it tells of it; hardly heeded; the plain preset; the preset plane; the learners' notebook;
    a grey one; two colours; it is optimised
"""
ORDINARY = """
    pictures look alike; each looks sharp; have a row of pictures; rows and columns; a network makes pictures; made
    of wood; a kind of noise; in place; it takes place; they share weights; three standard deviations; the standard
    deviation; The Great Wave; a plain convolution; on the other hand; by hand; a FiLM layer; a latent code of 20
    numbers; floor(255 x); told apart; fully connected; a circle of eight modes; it keeps the best; the teacher
    network; as they were; as large as they are painted; it takes the place of; in one place; written to a file;
    colors change; a single analysis; synthesis; it is optimistic
"""


@pytest.mark.parametrize("text", [" ".join(one.split()) for one in AVOIDED.split(";")])
def test_words_to_avoid_are_found(text):
    assert list(found(text, WORDS))


@pytest.mark.parametrize("text", [" ".join(one.split()) for one in ORDINARY.split(";")])
def test_ordinary_uses_are_not_found(text):
    assert not list(found(text, WORDS))


@pytest.mark.parametrize(
    "text", ["--judge-width 32", "--kind film", "--preset=cure", "judge_a near 0", "fool_b rises", "--usual x"]
)
def test_old_names_are_found_in_code(text):
    assert list(in_markdown(f"```sh\n{text}\n```\n"))


def test_code_is_no_prose():
    quoted = "<!-- from src/impasto/x.py -->\n```python\njudge_a = 1  # made pictures\n```\n"
    assert not list(in_markdown(quoted))
    assert not list(in_markdown("See `made`, and [this](figures/gan-checkerboard.jpg).\n"))
    assert [line for line, *_ in in_markdown("One.\n\nA\nheap.\n")] == [4]


def test_python_files_are_read_as_code():
    text = '"""A heap."""\n__all__ = ["film"]\nx = f"the judge {1}"\ny = "film"\njudge = 1  # a judge\n'
    read = {(line, word) for line, word, _ in in_python(text)}
    assert read == {(1, "heap"), (3, "judge"), (4, "film")}
    assert {(line, word) for line, word, _ in in_python(text, comments=True)} - read == {(5, "judge")}


def test_every_exception_is_needed():
    files = [*PAGES, *SCRIPTS, *SOURCES]
    used = [
        one for file in files for _, word, _, line in hits(file, allowed=True) for one in excepted(file, line, word)
    ]
    assert [one for one in EXCEPTIONS if one not in used] == []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comments", action="store_true", help="comments of Python files, too")
    parser.add_argument("paths", nargs="+", type=Path)
    given = parser.parse_args()
    listed = [
        f"{file}:{line}: {word} -> {better}: {shown}\n"
        for path in given.paths
        for file in (
            sorted(one for one in path.rglob("*") if one.suffix in (".py", ".md")) if path.is_dir() else [path]
        )
        for line, word, better, shown in hits(file, given.comments)
    ]
    sys.stdout.writelines(listed)
    return bool(listed)


if __name__ == "__main__":
    sys.exit(main())
