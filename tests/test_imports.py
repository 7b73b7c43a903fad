"""The plan of the house, held by reading the source: which folder imports which, and a few rules."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import lowmem_sentiment

PACKAGE = Path(lowmem_sentiment.__file__).parent

# In this order, and imports go up in it alone: each folder knows only those before it.
FOLDERS = [
    "system", "text", "sources", "dataset", "preparation", "runs", "model", "monitoring",
    "training", "distributed", "decisions", "evaluation", "search", "reporting", "serving", "cli",
]  # fmt: skip

# Importing TensorFlow costs 540 MB and over a second: only these may, at module level.
TENSORFLOW = (
    "training", "distributed", "model/tensorflow.py", "model/keras_model.py", "model/optimizer.py",
    "model/keras_scores.py", "model/variables.py",
)  # fmt: skip

OF_THE_ROOT = {"__init__.py", "__main__.py"}


@cache
def modules() -> dict[str, ast.Module]:
    """Return each module's syntax tree by its path in the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in paths}


def folder(path: str) -> str:
    return path.split("/")[0]


def at_module_level(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported: not those of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from at_module_level(child)


@cache
def imported(path: str, *, by_functions: bool = True) -> set[str]:
    """Return the modules of the package that one of them imports, as paths.

    `from .a import b` names the module a/b.py, or else what is in a.py or a/__init__.py. Without
    `by_functions` it is those that are imported when the module is.
    """
    found = set()
    tree = modules()[path]
    for node in ast.walk(tree) if by_functions else at_module_level(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (PACKAGE / path).parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                candidates = [(base / alias.name).with_suffix(".py"), base / alias.name / "__init__.py",
                              base.with_suffix(".py"), base / "__init__.py"]  # fmt: skip
                target = next((each for each in candidates if each.is_file()), None)
                assert target, f"{path}, line {node.lineno}: no module has {alias.name}"
                found.add(target.relative_to(PACKAGE).as_posix())
    return found


def packages(node: ast.AST) -> set[str]:
    """Return the packages of others that a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level:
        return {(node.module or "").split(".")[0]}
    return set()


def imports_tensorflow(tree: ast.Module) -> bool:
    return any(packages(node) & {"tensorflow", "keras"} for node in at_module_level(tree))


def test_every_folder_stands_in_the_plan():
    assert {folder(path) for path in modules()} - OF_THE_ROOT == set(FOLDERS)
    assert {path for path in modules() if "/" not in path} == OF_THE_ROOT


def test_modules_of_the_package_are_imported_by_relative_names():
    """Others are not seen by the tests below."""
    absolute = [
        path
        for path, tree in modules().items()
        if any("lowmem_sentiment" in packages(node) for node in ast.walk(tree))
    ]
    assert absolute == []


def test_imports_go_one_way():
    upside_down = [
        f"{path} imports {target}"
        for path in modules().keys() - OF_THE_ROOT
        for target in imported(path) - {"__init__.py"}  # the version
        if FOLDERS.index(folder(target)) > FOLDERS.index(folder(path))
    ]
    assert upside_down == []


def test_no_imports_go_in_a_circle():
    arrows = {path: imported(path) - {path, "__init__.py"} for path in modules()}
    while leaves := [path for path, targets in arrows.items() if not targets & arrows.keys()]:
        for path in leaves:
            del arrows[path]
    assert arrows == {}


def test_only_what_trains_imports_tensorflow_at_module_level():
    found = {path for path, tree in modules().items() if imports_tensorflow(tree)}
    assert {path for path in found if not path.startswith(TENSORFLOW)} == set()


def test_no_other_module_imports_one_of_those_on_the_way():
    arrows = {path: imported(path, by_functions=False) for path in modules()}
    reached = {path for path, tree in modules().items() if imports_tensorflow(tree)}
    while more := {path for path, targets in arrows.items() if targets & reached} - reached:
        reached |= more
    assert {path for path in reached if not path.startswith(TENSORFLOW)} == set()


def test_one_process_trains_without_the_folder_of_several_machines():
    """It could be deleted: only the command that trains, and finds TF_CONFIG, knows it."""
    users = {path for path in modules() if any(folder(each) == "distributed" for each in imported(path))}
    assert {folder(path) for path in users} - {"distributed"} <= {"cli", "search"}


def test_every_package_that_is_imported_is_declared():
    project = (PACKAGE.parents[1] / "pyproject.toml").read_text()
    declared = set(re.findall(r'"([a-z-]+)>=', project))
    distributions = {"PIL": "pillow", "google": "protobuf", "prometheus_client": "prometheus-client"}
    used = {name for tree in modules().values() for node in ast.walk(tree) for name in packages(node)}
    others = used - sys.stdlib_module_names
    assert {distributions.get(name, name) for name in others} - declared == set()


# --- house rules ---


def definitions() -> Iterator[tuple[str, str]]:
    """Yield where each docstring stands ("dataset/reader.py: Dataset.read") and its first word."""
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                name = getattr(node, "name", "the module")
                yield f"{path}: {name}", (ast.get_docstring(node) or " ").split(" ")[0]


def test_every_module_has_a_docstring():
    assert [path for path, tree in modules().items() if not ast.get_docstring(tree)] == []


def test_docstrings_use_the_usual_verbs():
    """Return, Yield, Write, Report (PEP 257, and as the field says it)."""
    assert [where for where, verb in definitions() if verb in ("Give", "Gives", "Say", "Tell")] == []


def test_no_handler_swallows_every_exception():
    """Expected errors are named: anything else is a bug, and is seen. Cleaning up ends with `raise`.

    The server answers a bug with code 500 and logs it, since the next request must not suffer from it.
    """
    boundary = "serving/application.py"
    blanket = {None, "Exception", "BaseException"}
    found = [
        f"{path}, line {node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if path != boundary
        and isinstance(node, ast.ExceptHandler)
        and blanket & set(caught(node))
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]
    assert found == []


def caught(handler: ast.ExceptHandler) -> list[str | None]:
    """Return the names of the exceptions that a handler catches; None for all."""
    if handler.type is None:
        return [None]
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [ast.unparse(kind) for kind in kinds]
