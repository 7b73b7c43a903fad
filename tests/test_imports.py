"""The plan of the house, held by reading the imports."""

import ast
from pathlib import Path

import lowmem_sentiment

PACKAGE = Path(lowmem_sentiment.__file__).parent

# In this order, and imports go up in it alone: each folder knows only those before it.
FOLDERS = [
    "system", "text", "sources", "dataset", "runs", "model", "monitoring", "training", "distributed",
    "evaluation", "cli",
]  # fmt: skip

# Importing TensorFlow costs 540 MB and over a second: only these may, at module level.
TENSORFLOW = (
    "training", "distributed", "model/keras_model.py", "model/optimizer.py",
    "model/keras_scores.py",
)  # fmt: skip


def modules() -> dict[str, ast.Module]:
    """Return each module's syntax tree by its path in the package, those at the root left out."""
    paths = sorted(PACKAGE.glob("*/**/*.py"))
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in paths}


def imported(path: str, tree: ast.AST) -> set[str]:
    """Return the modules of the package that one of them imports, as paths, functions' imports too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = (PACKAGE / path).parents[node.level - 1]
            base = folder.joinpath(*(node.module or "").split("."))
            targets = [base / alias.name for alias in node.names] + [base]
            files = [target.with_suffix(".py") for target in targets]
            found |= {file.relative_to(PACKAGE).as_posix() for file in files if file.is_file()}
    return found


def test_every_folder_stands_in_the_plan():
    assert {path.split("/")[0] for path in modules()} == set(FOLDERS)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_imports_go_one_way():
    def floor(path: str) -> int:
        return FOLDERS.index(path.split("/")[0])

    upside_down = [
        f"{path} imports {target}"
        for path, tree in modules().items()
        for target in imported(path, tree)
        if floor(target) > floor(path)
    ]
    assert not upside_down


def test_no_imports_go_in_a_circle():
    arrows = {path: imported(path, tree) - {path} for path, tree in modules().items()}
    while leaves := [path for path, targets in arrows.items() if not targets & arrows.keys()]:
        for path in leaves:
            del arrows[path]
    assert not arrows


def test_only_what_trains_imports_tensorflow_at_module_level():
    def packages(node: ast.stmt) -> set[str]:
        if isinstance(node, ast.ImportFrom):
            return set() if node.level else {(node.module or "").split(".")[0]}
        return (
            {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
        )

    found = {
        path
        for path, tree in modules().items()
        if any(packages(node) & {"tensorflow", "keras"} for node in tree.body)
    }
    assert {path for path in found if not path.startswith(TENSORFLOW)} == set()


def test_one_process_trains_without_the_folder_of_several_machines():
    """It could be deleted: only the command that trains, and finds TF_CONFIG, knows it."""
    users = {
        path
        for path, tree in modules().items()
        if not path.startswith("distributed/")
        and any(target.startswith("distributed/") for target in imported(path, tree))
    }
    assert {path.split("/")[0] for path in users} <= {"cli", "evaluation"}
