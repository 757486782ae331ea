"Which public functions and methods of the library lack an annotation? Prints them; exit status 1 if there are any."
import ast, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DUNDER_NONE = {"__init__", "__post_init__", "__setitem__", "__setattr__", "__delitem__"}  # nothing to return


def lacking(function: ast.FunctionDef, method: bool):
    "Names of parameters without annotation; `return` if the result has none."
    args = function.args
    static = any(getattr(d, "id", "") == "staticmethod" for d in function.decorator_list)
    positional = (args.posonlyargs + args.args)[1 if method and not static else 0:]
    for a in [*positional, *args.kwonlyargs, *filter(None, [args.vararg, args.kwarg])]:
        if a.annotation is None and a.arg != "ctx": yield a.arg  # ctx: what torch hands to a gradient
    if function.returns is None and function.name not in DUNDER_NONE: yield "return"


def public(name: str): return not name.startswith("_") or name.startswith("__")


def findings(source: str, module: str):
    "A line for each public function of a module that lacks an annotation."
    for node in ast.parse(source).body:
        inside = [(f"{node.name}.", f) for f in node.body] if isinstance(node, ast.ClassDef) and public(node.name) else [("", node)]
        for owner, function in inside:
            if isinstance(function, ast.FunctionDef) and public(function.name):
                if names := list(lacking(function, bool(owner))): yield f"{module}:{function.lineno} {owner}{function.name} lacks {', '.join(names)}"


if __name__ == "__main__":
    found = [line for path in sorted((ROOT / "arq_nb").glob("*.py")) if path.name != "_modidx.py" for line in findings(path.read_text(), path.stem)]
    print(*found, f"{len(found)} public functions lack annotations", sep="\n")
    sys.exit(bool(found))
