"""The rules of docs/design.md, read from the syntax trees: who imports whom, names, budgets, docstrings, faces."""

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "trainwell"
FILES = sorted(PACKAGE.rglob("*.py"))
FACES = {"__init__", "__main__", "callbacks"}  # beside those of the table: nothing imports them
LAZY = {"cli.py", "listings.py"}  # --help answers without importing torch

# Where the table says less than a rank: these import from the package nothing else. Every unit may raise errors.
MAY_IMPORT = {
    "nn": {"trainwell.nn"},
    "data": {"trainwell.data", "trainwell.recipe"},
    "models": {"trainwell.models", "trainwell.nn"},
    "tasks": {"trainwell.tasks", "trainwell.nn", "trainwell.models.decode", "trainwell.data.schema"},
    "train": {"trainwell.train", "trainwell.tasks.task", "trainwell.recipe", "trainwell.runs"},
    "report": {"trainwell.report", "trainwell.runs"},
}
CORE = {
    "torch",
    "numpy",
    "polars",
    "sklearn",
    "PIL",
    "safetensors",
    "pydantic",
    "typer",
    "rich",
    "yaml",
    "jinja2",
    "markupsafe",
}
REFUSED = {"utils", "util", "common", "helpers", "helper", "misc", "core", "base"}
LINES_A_FILE, LINES_A_FUNCTION, ARGUMENTS = 400, 60, 10
LINES = {"fit.py": 150}


def short(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def ranks() -> dict[str, int]:
    """Unit to rank, from the table in docs/design.md; faces stand above all."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", text, flags=re.MULTILINE)
    found = {
        name.removesuffix(".py").rstrip("/"): int(rank)
        for rank, cell in rows
        for name in re.findall(r"`([^`]+)`", cell)
    }
    return found | {face: max(found.values(), default=0) for face in FACES}


def unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """(dotted name, line, inside a function or not at the top) of every import; `from a import b` gives a.b."""
    found: list[tuple[str, int, bool]] = []

    def walk(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if is_type_checking(child):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, child.lineno, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{short(path)}:{child.lineno}: relative import; write the whole name"
                found.extend((f"{child.module}.{alias.name}", child.lineno, inside) for alias in child.names)
            walk(
                child,
                inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.If | ast.Try),
            )

    walk(tree(path), False)
    return found


def own_imports(path: Path) -> list[tuple[str, int, bool]]:
    return [each for each in imports(path) if each[0].split(".")[0] == "trainwell"]


def public(node: ast.AST) -> list[ast.stmt]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [each for each in ast.iter_child_nodes(node) if isinstance(each, kinds) and not each.name.startswith("_")]


def fail_on(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


def test_every_unit_has_a_rank():
    fail_on([f"{short(path)}: not in the table of docs/design.md" for path in FILES if unit(path) not in ranks()])


def test_imports_go_down():
    problems = []
    order = ranks()
    for path in FILES:
        own = unit(path)
        for name, line, _ in own_imports(path):
            target = name.split(".")[1] if "." in name else ""
            if target == own or target not in order or own == "__init__":
                continue
            if target in FACES or (own != "__main__" and order[target] >= order[own] and target != "errors"):
                problems.append(
                    f"{short(path)}:{line}: {own} (rank {order[own]}) imports {name} (rank {order[target]})"
                )
    fail_on(problems)


def test_narrow_units_import_what_the_table_lists():
    problems = []
    for path in FILES:
        allowed = MAY_IMPORT.get(unit(path))
        for name, line, _ in own_imports(path) if allowed is not None else ():
            if not any(name == each or name.startswith(f"{each}.") for each in {*allowed, "trainwell.errors"}):
                problems.append(f"{short(path)}:{line}: {name}; {unit(path)} imports {', '.join(sorted(allowed))}")
    fail_on(problems)


def test_no_ring_of_files():
    """Inside a folder too, no file needs itself by way of others."""
    names = {}
    for path in FILES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    needs = {}
    for name, path in names.items():
        whole = [each for each, _, _ in own_imports(path)]
        found = {each if each in names else each.rpartition(".")[0] for each in whole}
        needs[name] = found - {name, "trainwell"} if name != "trainwell" else set()

    def ring(start: str, at: str, way: tuple[str, ...], seen: set[str]) -> tuple[str, ...]:
        for to in sorted(needs.get(at, ())):
            if to == start:
                return (*way, to)
            if to not in seen:
                seen.add(to)
                if found := ring(start, to, (*way, to), seen):
                    return found
        return ()

    fail_on(sorted({" -> ".join(found) for name in needs if (found := ring(name, name, (name,), set()))}))


def test_the_package_is_imported_at_the_top_of_files():
    problems = [
        f"{short(path)}:{line}: imports {name} inside a function"
        for path in FILES
        for name, line, inside in own_imports(path)
        if inside and short(path) not in LAZY
    ]
    fail_on(problems)


def test_optional_packages_are_imported_where_they_are_used():
    """A package beyond the core ones inside the function that needs it, so that no other work asks for it."""
    problems = []
    for path in FILES:
        for name, line, inside in imports(path):
            package = name.split(".")[0]
            if package not in CORE | sys.stdlib_module_names | {"trainwell"} and not inside:
                problems.append(f"{short(path)}:{line}: {package} is optional; import it where it is used")
    fail_on(problems)


def test_no_file_is_named_after_nothing():
    fail_on([short(path) for path in FILES if REFUSED & {path.stem, *path.relative_to(PACKAGE).parts[:-1]}])


def test_files_begin_with_what_they_do():
    fail_on([f"{short(path)}: no docstring" for path in FILES if not ast.get_docstring(tree(path))])


def test_public_functions_and_classes_have_docstrings():
    problems = []
    for path in FILES:
        for node in public(tree(path)):
            inner = [each for each in public(node) if isinstance(each, ast.ClassDef)]
            for each in (node, *inner):
                if not ast.get_docstring(each):
                    problems.append(f"{short(path)}:{each.lineno}: {each.name} has no docstring")
    fail_on(problems)


def test_modules_have_a_shape_line():
    classes = {}
    for path in FILES:
        if unit(path) in ("nn", "models"):
            classes |= {node.name: (path, node) for node in tree(path).body if isinstance(node, ast.ClassDef)}

    def is_module(name: str, depth: int = 0) -> bool:
        if name not in classes or depth > 9:
            return name == "Module"
        bases = [getattr(base, "attr", getattr(base, "id", "")) for base in classes[name][1].bases]
        return any(is_module(base, depth + 1) for base in bases)

    problems = []
    for name, (path, node) in classes.items():
        forwards = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "forward"]
        texts = [ast.get_docstring(each) or "" for each in (node, *forwards)]
        if not name.startswith("_") and is_module(name) and not any("->" in text for text in texts):
            problems.append(
                f"{short(path)}:{node.lineno}: {name} has no shape line such as `x: (batch, ...) -> (batch, ...)`"
            )
    fail_on(problems)


def test_budgets():
    problems, files, functions = [], [], []
    for path in FILES:
        length = len(path.read_text(encoding="utf-8").splitlines())
        files.append((length, short(path)))
        if length > LINES.get(short(path), LINES_A_FILE):
            problems.append(f"{short(path)}: {length} lines, at most {LINES.get(short(path), LINES_A_FILE)}")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                functions.append((length, f"{short(path)}:{node.lineno} {node.name}"))
                if length > LINES_A_FUNCTION:
                    problems.append(
                        f"{short(path)}:{node.lineno}: {node.name} has {length} lines, at most {LINES_A_FUNCTION}"
                    )
                arguments = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs) - 1
                if node.name == "__init__" and arguments > ARGUMENTS:
                    problems.append(
                        f"{short(path)}:{node.lineno}: a constructor of {arguments} arguments, at most {ARGUMENTS}"
                    )
    print(f"\n{len(files)} files, {sum(length for length, _ in files)} lines; longest files and functions:")
    print("\n".join(f"{length:4d} {name}" for length, name in sorted(files)[-5:] + sorted(functions)[-5:]))
    fail_on(problems)


@pytest.mark.parametrize("path", [each for each in FILES if each.name == "__init__.py"], ids=short)
def test_what_is_exported_is_sorted_and_there(path):
    name = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    # Constants, then classes, then functions, as ruff sorts them.
    order = sorted(exported, key=lambda each: (not each.isupper(), not each.lstrip("_")[:1].isupper(), each))
    assert list(exported) == order or list(exported) == sorted(exported)
    if name == "trainwell" and not (PACKAGE / "fit.py").exists():
        return
    assert [each for each in exported if not hasattr(module, each)] == []


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = "torch", "polars", "sklearn", "pandas"


def test_the_package_imports_nothing_heavy():
    heavy = python(f"import sys, trainwell; print([each for each in {HEAVY} if each in sys.modules])")
    assert heavy.strip() == "[]"


def test_help_answers_without_torch():
    if not (PACKAGE / "cli.py").exists():
        pytest.skip("there is no command line yet")
    code = f"""
import sys
sys.argv = ["trainwell", "--help"]
from trainwell.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("HEAVY", [each for each in {HEAVY} if each in sys.modules])
"""
    out = python(code)
    assert "HEAVY []" in out and "fit" in out
